//! What came and went.

use std::rc::Rc;

use yew::{Html, Properties, classes, component, html};

use crate::view::{format, state::PacketRow};

#[derive(Properties, PartialEq)]
pub(crate) struct PacketsProps {
    pub(crate) packets: Rc<Vec<PacketRow>>,
    pub(crate) packets_in: u64,
    pub(crate) packets_out: u64,
    #[prop_or("span-6")]
    pub(crate) span: &'static str,
}

/// The last packets, newest first. Each was signed by its author and checked here.
#[component]
pub(crate) fn Packets(props: &PacketsProps) -> Html {
    let offset = js_sys::Date::new_0().get_timezone_offset();
    html! {
        <section
            class={classes!("card", props.span)} aria-labelledby="packets-title"
            data-in={props.packets_in.to_string()} data-out={props.packets_out.to_string()}
        >
            <header>
                <h2 id="packets-title">{ "Packets" }</h2>
                <span class="aside">{ format!("{} in · {} out", props.packets_in, props.packets_out) }</span>
            </header>
            if props.packets.is_empty() {
                <p class="empty">
                    { "Nothing yet. A packet is one message of the mesh: signed by whoever made it, and checked by everyone who gets it." }
                </p>
            } else {
                <div class="scroll" tabindex="0" role="region" aria-label="Packets, newest first">
                    <ul class="rows packets">{ for props.packets.iter().map(|packet| row(packet, offset)) }</ul>
                </div>
            }
        </section>
    }
}

fn row(packet: &PacketRow, offset: f64) -> Html {
    let (way, arrow, whose) = match packet.is_own {
        true => ("out", "M7 12V2M3 6l4-4 4 4", "sent by you".to_owned()),
        false => (
            "in",
            "M7 2v10M3 8l4 4 4-4",
            format!("from {}", format::short(&packet.author)),
        ),
    };
    html! {
        <li key={&*packet.cid} data-cid={packet.cid.to_string()} data-type={packet.packet_type.to_string()} data-way={way}
            data-author={packet.author.to_string()}>
            <span class={classes!("way", way)}><svg viewBox="0 0 14 14" aria-hidden="true"><path d={arrow} /></svg></span>
            <div>
                { format::packet_type(&packet.packet_type).to_owned() }
                <div class="sub">{ whose }</div>
            </div>
            <div class="num">
                { format::size(packet.size) }
                <div class="sub">{ format::clock(packet.at_ms, offset) }</div>
            </div>
        </li>
    }
}
