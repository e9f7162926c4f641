//! Who this tab is and how it is doing.

use std::rc::Rc;

use chorus_core::status::Category;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use yew::{Callback, Html, Properties, component, html, use_state};

use crate::ui::shape;
use crate::view::{
    format,
    state::{class, word},
};

#[derive(Properties, PartialEq)]
pub(crate) struct StatusProps {
    pub(crate) category: Category,
    pub(crate) summary: String,
}

/// The state of this peer: shape, word, and what it is doing. Announced to those who listen.
#[component]
pub(crate) fn Status(props: &StatusProps) -> Html {
    html! {
        <p class="pill" role="status" data-category={class(props.category)}>
            { shape::category(props.category) }
            <span>{ word(props.category) }<span class="more">{ " · " }{ &props.summary }</span></span>
        </p>
    }
}

#[derive(Properties, PartialEq)]
pub(crate) struct MeProps {
    pub(crate) id: Option<Rc<str>>,
}

/// This peer's id in short, and a button that copies all of it.
#[component]
pub(crate) fn Me(props: &MeProps) -> Html {
    let copied = use_state(|| false);
    let Some(id) = props.id.clone() else {
        return html! { <div class="me">{ "You are " }<span class="ghost id"></span></div> };
    };
    let onclick = {
        let (id, copied) = (id.clone(), copied.clone());
        Callback::from(move |_| {
            let (id, copied) = (id.clone(), copied.clone());
            spawn_local(async move {
                let Some(window) = web_sys::window() else {
                    return;
                };
                let written = window.navigator().clipboard().write_text(&id);
                copied.set(JsFuture::from(written).await.is_ok());
            });
        })
    };
    html! {
        <div class="me">
            <span>{ "You are" }</span>
            <code title={id.to_string()}>{ format::short(&id) }</code>
            <button type="button" class="button small" {onclick} aria-label="Copy your full peer id">
                { if *copied { "Copied" } else { "Copy" } }
            </button>
            <span class="hidden" role="status">{ if *copied { "Your peer id was copied" } else { "" } }</span>
        </div>
    }
}
