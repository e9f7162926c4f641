//! Protocol and topic names, and how block messages are framed on a stream.

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{StreamProtocol, gossipsub::IdentTopic, kad::RecordKey, request_response};

use crate::{
    digest::{ContentId, Digest},
    node::{MAX_REQUEST, MAX_RESPONSE, Request, Response},
};

/// The ids of one network. Two networks share none of them. Source: contract.md, "On the wire".
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// What members call themselves in identify, on circuits too, where no other protocol of theirs runs.
    pub(crate) version: String,
    pub(crate) kademlia: StreamProtocol,
    pub(crate) blocks: StreamProtocol,
    pub(crate) packets: IdentTopic,
    pub(crate) members: RecordKey,
}

impl Names {
    /// Returns the names of `network`.
    ///
    /// # Errors
    /// Where the name cannot be part of a protocol id.
    pub(crate) fn new(network: &str) -> Result<Self, String> {
        let name = |what: &str| {
            StreamProtocol::try_from_owned(format!("/chorus/{network}/{what}/1.0.0"))
                .map_err(|_| format!("network name {network:?} cannot be part of a protocol id"))
        };
        let members = Digest::sha256(format!("chorus/{network}/members/1").as_bytes());
        Ok(Self {
            version: format!("/chorus/{network}/1.0.0"),
            kademlia: name("kad")?,
            blocks: name("block")?,
            packets: IdentTopic::new(format!("chorus/{network}/packets/1")),
            members: RecordKey::new(&members.as_bytes()),
        })
    }
}

/// The DHT key under which a packet's providers are found.
pub(crate) fn provider_key(cid: &ContentId) -> RecordKey {
    RecordKey::new(&cid.to_bytes())
}

/// A message is a four-byte big-endian length and the bytes. A length over the bound is refused before any byte of
/// the message is read; memory grows with what has arrived, not with what was announced.
#[derive(Debug, Clone, Default)]
pub(crate) struct Codec;

impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = Request;
    /// `None`: the answer arrived, but is not well formed.
    type Response = Option<Response>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        let bytes = read_message(io, MAX_REQUEST).await?;
        Request::decode(&bytes)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))
    }

    async fn read_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Option<Response>>
    where
        T: AsyncRead + Unpin + Send,
    {
        match read_message(io, MAX_RESPONSE).await {
            Ok(bytes) => Ok(Response::decode(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        request: Request,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write_message(io, &request.encode()).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        response: Option<Response>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        match response {
            Some(response) => write_message(io, &response.encode()).await,
            None => Ok(()),
        }
    }
}

async fn read_message<T: AsyncRead + Unpin + Send>(io: &mut T, max: usize) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    let length = u32::from_be_bytes(length) as usize;
    if length > max {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("message of {length} bytes, the limit is {max}"),
        ));
    }
    let mut bytes = Vec::with_capacity(length.min(FIRST_ALLOCATION));
    io.take(length as u64).read_to_end(&mut bytes).await?;
    if bytes.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

async fn write_message<T: AsyncWrite + Unpin + Send>(io: &mut T, message: &[u8]) -> io::Result<()> {
    let length =
        u32::try_from(message.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    io.write_all(&length.to_be_bytes()).await?;
    io.write_all(message).await?;
    io.flush().await
}

/// Room made for a message before any of it arrived, in bytes.
const FIRST_ALLOCATION: usize = 64 * 1024;
