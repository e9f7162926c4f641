// A bare RTCDataChannel. The joiner offers; the host says hello, and sends what it is asked for.

import { receive, send } from './channel.mjs'

const parameters = new URLSearchParams(location.search)
const url = `ws://${location.host}/`

if (parameters.get('role') === 'host') {
  const socket = new WebSocket(`${url}host`)
  const peers = new Map()
  socket.onopen = () => globalThis.ready('raw')
  socket.onmessage = async ({ data }) => {
    const [number, text] = JSON.parse(data)
    const { description, candidate } = JSON.parse(text)
    const reply = message => socket.send(JSON.stringify([number, JSON.stringify(message)]))
    if (description) {
      const peer = connection(reply)
      peers.set(number, peer)
      peer.onconnectionstatechange = () => {
        if (peer.connectionState === 'failed' || peer.connectionState === 'closed') peers.delete(number)
      }
      peer.ondatachannel = ({ channel }) => {
        channel.binaryType = 'arraybuffer'
        channel.onopen = () => channel.send('hello')
        channel.onmessage = ({ data }) => {
          const { size, chunk } = JSON.parse(data)
          send(channel, size, chunk)
        }
      }
      // Set in order, answered as soon as possible.
      peer.setRemoteDescription(description)
      const answer = await peer.createAnswer()
      reply({ description: answer })
      await peer.setLocalDescription(answer)
    } else {
      await peers.get(number)?.addIceCandidate(candidate)
    }
  }
} else {
  const socket = new WebSocket(url)
  const opened = new Promise(resolve => { socket.onopen = resolve })
  const reply = async message => { await opened; socket.send(JSON.stringify(message)) }
  const peer = connection(reply)
  const channel = peer.createDataChannel('bench')
  channel.binaryType = 'arraybuffer'
  channel.onmessage = () => {
    globalThis.joined?.()
    globalThis.transfer = (size, chunk) => {
      channel.send(JSON.stringify({ size, chunk }))
      return receive(channel, size)
    }
    globalThis.ready?.()
  }
  socket.onmessage = async ({ data }) => {
    const { description, candidate } = JSON.parse(data)
    if (description) await peer.setRemoteDescription(description)
    else await peer.addIceCandidate(candidate)
  }
  const offer = await peer.createOffer()
  reply({ description: offer })
  await peer.setLocalDescription(offer)
}

function connection (reply) {
  const peer = new RTCPeerConnection({ iceServers: [] })
  peer.onicecandidate = ({ candidate }) => { if (candidate?.candidate) reply({ candidate }) }
  return peer
}
