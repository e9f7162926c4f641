// Chorus and js-libp2p, each in a tab of Chromium, through our relay.
import { suite } from '../lib/interop.mjs'

suite('Chorus dials js-libp2p in Chromium', stage => stage.ours(), stage => stage.jsInTab())
suite('js-libp2p in Chromium dials Chorus', stage => stage.jsInTab(), stage => stage.ours())
