//! The status bar: how everybody known here is doing, this tab included.

use yew::{Html, Properties, component, html};

use crate::ui::shape;
use crate::view::{
    geometry::portions,
    state::{CATEGORIES, class, word},
};

#[derive(Properties, PartialEq)]
pub(crate) struct CensusProps {
    /// How many are in each of [`CATEGORIES`].
    pub(crate) counts: [usize; 5],
}

/// A bar in five parts and its legend with shapes, words and numbers.
#[component]
pub(crate) fn Census(props: &CensusProps) -> Html {
    let parts = portions(props.counts).into_iter().zip(CATEGORIES).map(|((start, width), category)| {
        html! { <rect class={class(category)} x={start.to_string()} width={width.to_string()} y="0" height="10" /> }
    });
    let legend = props
        .counts
        .into_iter()
        .zip(CATEGORIES)
        .map(|(count, category)| {
            html! {
                <li data-category={class(category)} data-count={count.to_string()}>
                    { shape::category(category) }{ word(category) }{ " " }<b>{ count }</b>
                </li>
            }
        });
    html! {
        <section class="card span-12 bar" aria-label="How the peers known here are doing, you included">
            <div class="track">
                <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">{ for parts }</svg>
            </div>
            <ul class="legend">{ for legend }</ul>
        </section>
    }
}
