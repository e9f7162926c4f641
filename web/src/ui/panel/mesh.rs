//! A small picture of the mesh as this tab sees it.

use std::rc::Rc;

use yew::{Html, Properties, classes, component, html};

use crate::view::{
    format,
    geometry::{self, Spot},
    state::{Kind, PeerRow},
};

#[derive(Properties, PartialEq)]
pub(crate) struct MeshProps {
    pub(crate) peers: Rc<Vec<PeerRow>>,
    #[prop_or("span-5")]
    pub(crate) span: &'static str,
}

/// This tab in the middle, the others around it; a solid line is direct, a dashed one goes through a relay.
#[component]
pub(crate) fn Mesh(props: &MeshProps) -> Html {
    let peers = &*props.peers;
    let spots = geometry::mesh(peers);
    let middle = (
        geometry::MESH_WIDTH / 2.0,
        geometry::MESH_HEIGHT / 2.0 - 6.0,
    );
    let edges = spots
        .iter()
        .map(|spot| edge(&peers[spot.index], spot, middle));
    let nodes = spots.iter().map(|spot| node(&peers[spot.index], spot));
    let rest = peers.len().saturating_sub(spots.len());
    let view = format!("0 0 {} {}", geometry::MESH_WIDTH, geometry::MESH_HEIGHT);
    let (cx, cy) = (middle.0.to_string(), middle.1.to_string());
    html! {
        <section class={classes!("card", "mesh", props.span)} aria-labelledby="mesh-title">
            <header><h2 id="mesh-title">{ "The mesh, seen from here" }</h2></header>
            <svg class="graph" viewBox={view} role="img" aria-label={describe(peers)}>
                { for edges }
                { for nodes }
                <circle class="node me" cx={cx.clone()} cy={cy} r="12" />
                <text class="me" x={cx} y={(middle.1 + 28.0).to_string()}>{ "you" }</text>
            </svg>
            <p class="note">
                { "Solid: tab to tab. Dashed: through a relay." }
                if rest > 0 { { format!(" And {rest} more.") } }
            </p>
        </section>
    }
}

fn edge(peer: &PeerRow, spot: &Spot, middle: (f64, f64)) -> Html {
    let class = classes!("edge", peer.kind.as_str());
    html! {
        <line
            {class} x1={middle.0.to_string()} y1={middle.1.to_string()}
            x2={format!("{:.1}", spot.x)} y2={format!("{:.1}", spot.y)}
        />
    }
}

fn node(peer: &PeerRow, spot: &Spot) -> Html {
    let class = classes!("node", peer.kind.as_str());
    let (x, y) = (format!("{:.1}", spot.x), format!("{:.1}", spot.y));
    let below = format!("{:.1}", spot.y + 22.0);
    if peer.kind == Kind::Relay {
        return html! {
            <g key={&*peer.id}>
                <rect {class} x={format!("{:.1}", spot.x - 8.0)} y={format!("{:.1}", spot.y - 8.0)} width="16" height="16" rx="3" />
                <text class="quiet" x={format!("{:.1}", spot.x + 14.0)} y={format!("{:.1}", spot.y + 4.0)} text-anchor="start">
                    { "relay" }
                </text>
            </g>
        };
    }
    let label: String = format::short(&peer.id).chars().skip(3).collect();
    html! {
        <g key={&*peer.id}>
            <circle {class} cx={x.clone()} cy={y} r="9" />
            <text {x} y={below}>{ label }</text>
        </g>
    }
}

fn describe(peers: &[PeerRow]) -> String {
    let count = |kind| peers.iter().filter(|p| p.kind == kind).count();
    format!(
        "You are connected to {} peers directly, to {} through a relay, and to {} relays.",
        count(Kind::Direct),
        count(Kind::Relayed),
        count(Kind::Relay)
    )
}
