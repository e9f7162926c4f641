// Chorus in a tab of Chromium and js-libp2p on Node, through our relay.
import { suite } from '../lib/interop.mjs'

// libdatachannel drops a RESET that is followed at once by the end of its channel, so that the reader sees an end.
const resetIsKnownToFail = 'our side must keep a channel open until its RESET is delivered'

suite('Chorus dials js-libp2p on Node', stage => stage.ours(), stage => stage.jsOnNode(), { attempts: 8, resetIsKnownToFail })
suite('js-libp2p on Node dials Chorus', stage => stage.jsOnNode(), stage => stage.ours(), { attempts: 8, resetIsKnownToFail })
