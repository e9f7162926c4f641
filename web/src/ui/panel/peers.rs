//! Who is connected, and how.

use std::rc::Rc;

use yew::{Html, Properties, classes, component, html};

use crate::ui::shape;
use crate::view::{
    format,
    state::{Kind, PeerRow},
};

#[derive(Properties, PartialEq)]
pub(crate) struct PeersProps {
    pub(crate) peers: Rc<Vec<PeerRow>>,
    #[prop_or("span-7")]
    pub(crate) span: &'static str,
}

/// One row for every connected peer: members first, then relays.
#[component]
pub(crate) fn Peers(props: &PeersProps) -> Html {
    let members = props.peers.iter().filter(|p| p.kind != Kind::Relay).count();
    html! {
        <section class={classes!("card", props.span)} aria-labelledby="peers-title">
            <header><h2 id="peers-title">{ "Who is connected" }</h2><span class="aside">{ count(members) }</span></header>
            if members == 0 {
                <p class="empty">
                    { "Nobody else is here yet. Open this page in a second window, or send its address to a friend: tabs find each other by themselves." }
                </p>
            }
            <div class="scroll" tabindex="0" role="region" aria-label="Connected peers">
                <ul class="rows peers">{ for props.peers.iter().map(row) }</ul>
            </div>
        </section>
    }
}

fn count(members: usize) -> String {
    match members {
        0 => "only you".into(),
        1 => "you and 1 other".into(),
        n => format!("you and {n} others"),
    }
}

fn row(peer: &PeerRow) -> Html {
    let how = match peer.kind {
        Kind::Direct => "Direct, tab to tab",
        Kind::Relayed => "Relayed: no direct way was found",
        Kind::Relay => "Relay: it introduces tabs to each other",
    };
    // What small packets carry comes with the news; the bytes are those of files and models.
    let packets = match peer.packets_in {
        0 => None,
        1 => Some("1 packet".into()),
        n => Some(format!("{n} packets")),
    };
    let bytes = peer.bytes_in + peer.bytes_out;
    let moved = [packets, (bytes > 0).then(|| format::size(bytes))];
    let moved = moved.into_iter().flatten().collect::<Vec<_>>().join(" · ");
    html! {
        <li
            class="arrive" key={&*peer.id}
            data-peer={peer.id.to_string()} data-kind={peer.kind.as_str()}
            data-rtt={peer.round_trip_ms.map(|ms| format!("{ms:.1}"))} data-bytes-in={peer.bytes_in.to_string()}
        >
            { shape::kind(peer.kind) }
            <div>
                <code title={peer.id.to_string()}>{ format::short(&peer.id) }</code>
                <div class="sub">{ how }</div>
            </div>
            <div class="num">
                { peer.round_trip_ms.map_or_else(|| "measuring".into(), format::millis) }
                <div class="sub">{ moved }</div>
            </div>
        </li>
    }
}
