// js-libp2p with itself through our relay: says whether a failure beside it is ours or theirs.
import { suite } from '../lib/interop.mjs'

suite('js-libp2p in Chromium dials js-libp2p in Chromium', stage => stage.jsInTab(), stage => stage.jsInTab())
