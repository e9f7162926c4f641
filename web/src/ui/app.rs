//! The whole page, or the part of it that a widget shows.

use std::rc::Rc;

use yew::{Callback, Html, Properties, component, html, use_effect_with, use_state_eq};

use super::{
    Controls,
    panel::{
        census::Census, draw::Draw, files::Files, header::Me, header::Status, learner::Learner,
        mesh::Mesh, packets::Packets, peers::Peers,
    },
    shape,
};
use crate::view::{
    state::{Phase, State},
    store::Store,
};

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// The dashboard.
    Page,
    /// Everything, inside another page.
    Full,
    /// Status, learner and peers, inside another page.
    Panel,
    /// One line, inside another page.
    Bar,
}

#[derive(Properties, Clone)]
pub(crate) struct AppProps {
    pub(crate) store: Rc<Store>,
    pub(crate) controls: Controls,
    pub(crate) view: View,
}

impl PartialEq for AppProps {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.store, &other.store)
            && self.controls == other.controls
            && self.view == other.view
    }
}

/// Watches the store and shows its state.
#[component]
pub(crate) fn App(props: &AppProps) -> Html {
    let state = use_state_eq(|| props.store.state());
    {
        let state = state.clone();
        use_effect_with(props.clone(), move |props| {
            let set = state.clone();
            let id = props.store.watch(Rc::new(move |next| set.set(next)));
            state.set(props.store.state());
            let store = props.store.clone();
            move || store.unwatch(id)
        });
    }
    let controls = (state.phase == Phase::Up).then(|| props.controls.clone());
    let content = match props.view {
        View::Page | View::Full => page(&state, controls, &props.controls, props.view),
        View::Panel => panel(&state, controls, &props.controls),
        View::Bar => bar(&state),
    };
    let class = if props.view == View::Page {
        "chorus page"
    } else {
        "chorus widget"
    };
    html! {
        <div
            {class}
            data-peer-id={state.id.as_deref().map(str::to_owned)}
            data-peers={state.members().to_string()}
            data-relays={state.relays().to_string()}
            data-phase={phase(&state.phase)}
            data-network={state.network.to_string()}
        >{ content }</div>
    }
}

fn page(state: &State, controls: Option<Controls>, always: &Controls, view: View) -> Html {
    html! {
        <>
            if view == View::Page { <a class="skip" href="#main">{ "Skip to the panels" }</a> }
            <header class="top">
                <a class="brand" href={(view == View::Page).then_some("./")}>{ shape::mark() }{ "Chorus" }</a>
                <Status category={state.own_category()} summary={state.summary()} />
                <Me id={state.id.clone()} />
            </header>
            <main id="main">
                if view == View::Page { { intro() } }
                { banner(state, always) }
                <div class="grid">
                    <Census counts={state.census()} />
                    <Learner learner={state.learner.clone()} controls={controls.clone()} />
                    <Draw controls={controls.clone()} revision={state.learner.revision} />
                    <Peers peers={state.peers.clone()} />
                    <Mesh peers={state.peers.clone()} />
                    <Files files={state.files.clone()} controls={controls.clone()} />
                    <Packets packets={state.packets.clone()} packets_in={state.packets_in} packets_out={state.packets_out} />
                </div>
            </main>
            if view == View::Page { { foot(state) } }
        </>
    }
}

fn panel(state: &State, controls: Option<Controls>, always: &Controls) -> Html {
    html! {
        <>
            { bar(state) }
            <div class="stack">
                { banner(state, always) }
                <Learner learner={state.learner.clone()} {controls} span="" />
                <Peers peers={state.peers.clone()} span="" />
            </div>
        </>
    }
}

fn bar(state: &State) -> Html {
    html! {
        <div class="mini">
            <span class="brand">{ shape::mark() }{ "Chorus" }</span>
            <Status category={state.own_category()} summary={state.summary()} />
            <span class="grow"></span>
            <Me id={state.id.clone()} />
        </div>
    }
}

fn intro() -> Html {
    html! {
        <div class="intro">
            <h1>{ "Tabs that learn from each other" }</h1>
            <p>
                { "This page turns your tab into one voice in a network of browsers. Alone, it can read only a few \
                   handwritten digits. The rest it learns from the others. What travels is what it has learned, never \
                   what you draw." }
            </p>
        </div>
    }
}

fn banner(state: &State, controls: &Controls) -> Html {
    let failed = match &state.phase {
        Phase::Failed(why) => Some(why.clone()),
        Phase::Starting | Phase::Up | Phase::Closed => None,
    };
    if let Some(why) = failed {
        return html! {
            <div class="banner" role="alert" data-error="start">
                <span>{ why.to_string() }</span>
                <a class="button small" href="">{ "Try again" }</a>
            </div>
        };
    }
    let Some(notice) = state.notice.clone() else {
        return Html::default();
    };
    let controls = controls.clone();
    let onclick = Callback::from(move |_| controls.dismiss());
    html! {
        <div class="banner" role="alert" data-error="notice">
            <span>{ notice.to_string() }</span>
            <span class="spacer"></span>
            <button type="button" class="button small" {onclick}>{ "Close" }</button>
        </div>
    }
}

fn foot(state: &State) -> Html {
    html! {
        <footer class="foot">
            if !state.network.is_empty() { <span>{ format!("Network “{}”", state.network) }</span> }
            <span>{ "No account, no tracking, no third party. Close the tab and you have left." }</span>
            <span><a href="digits.LICENSE.md">{ "Digits: UCI, CC BY 4.0" }</a></span>
        </footer>
    }
}

fn phase(phase: &Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Up => "up",
        Phase::Failed(_) => "failed",
        Phase::Closed => "closed",
    }
}
