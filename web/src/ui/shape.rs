//! Small pictures: a shape for every category and kind, so that colour is never the only sign.

use chorus_core::status::Category;
use yew::{Html, classes, html};

use crate::view::state::{Kind, class};

/// Draws a category: circle, star, square, ring, triangle.
pub(crate) fn category(category: Category) -> Html {
    let path = match category {
        Category::Ready => CIRCLE,
        Category::Proven => "M7 0.8 8.9 5h4.4L9.8 7.8 11 12.6 7 9.9 3 12.6 4.2 7.8 0.7 5h4.4z",
        Category::Busy => "M1 1h12v12H1z",
        Category::Offline => "M7 1.5a5.5 5.5 0 1 0 .01 0zM3.2 10.8 10.8 3.2",
        Category::Unknown => "M7 .5 14 13.5H0z",
    };
    draw(path, class(category))
}

/// Draws how a peer is reached: circle, ring with a dash, square.
pub(crate) fn kind(kind: Kind) -> Html {
    match kind {
        Kind::Direct => draw(CIRCLE, "ready"),
        Kind::Relayed => draw("M7 .5 14 13.5H0z", "unknown"),
        Kind::Relay => draw("M1.5 1.5h11v11h-11z", "offline"),
    }
}

/// Draws the mark of Chorus: three voices.
pub(crate) fn mark() -> Html {
    html! {
        <svg viewBox="0 0 32 32" fill="none" stroke="currentColor" stroke-width="2.5" aria-hidden="true">
            <circle cx="16" cy="11" r="7" /><circle cx="10.5" cy="20" r="7" /><circle cx="21.5" cy="20" r="7" />
        </svg>
    }
}

fn draw(path: &'static str, class: &'static str) -> Html {
    html! {
        <svg class={classes!("shape", class)} viewBox="0 0 14 14" aria-hidden="true"><path d={path} /></svg>
    }
}

const CIRCLE: &str = "M7 .5a6.5 6.5 0 1 0 .01 0z";
