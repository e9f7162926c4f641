//! `chorus-relay query`: the packets that a relay knows.

use chorus_core::{
    bounds::DEFAULT_MAX_OBJECT,
    node::Filter,
    packet::{Packet, Payload},
};

use crate::{
    cli::QueryArgs,
    cmd::{Failure, client, print_line},
};

/// Prints one line per packet, newest first: content id, type, size in bytes, time, author; or JSON.
///
/// # Errors
/// The relay does not answer.
pub(crate) async fn query(args: QueryArgs) -> Result<(), Failure> {
    let target = client::target(&args.relay).await?;
    let client = client::connect(target, None, DEFAULT_MAX_OBJECT).await?;
    let filter = Filter {
        packet_type: args.packet_type,
        limit: args.limit,
        ..Filter::default()
    };
    let packets = client.node.handle.query_peer(client.relay, filter).await?;
    client.node.close().await;
    for packet in packets {
        print_line(&if args.json {
            json_line(&packet)
        } else {
            text_line(&packet)
        })?;
    }
    Ok(())
}

fn json_line(packet: &Packet) -> String {
    format!(
        "{{\"cid\":\"{}\",\"packet\":{}}}",
        packet.cid(),
        packet.to_json()
    )
}

fn text_line(packet: &Packet) -> String {
    let size = match packet.payload() {
        Payload::Inline(bytes) => bytes.len() as u64,
        Payload::Link { size, .. } => *size,
    };
    format!(
        "{} {} {size} {} {}",
        packet.cid(),
        packet.packet_type(),
        packet.timestamp(),
        packet.author()
    )
}
