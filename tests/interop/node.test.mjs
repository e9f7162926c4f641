// Chorus in a tab of Chromium and js-libp2p on Node, through our relay.
import { suite } from '../lib/interop.mjs'

suite('Chorus dials js-libp2p on Node', stage => stage.ours(), stage => stage.jsOnNode(), { attempts: 8 })
suite('js-libp2p on Node dials Chorus', stage => stage.jsOnNode(), stage => stage.ours(), { attempts: 8 })
