// The js-libp2p peer and the scenarios as one bundle for a tab.
import * as scenarios from './scenarios.mjs'
import { start } from './peer.mjs'

globalThis.chorusTest = { start, scenarios }
