//! The accuracy curve: what the mesh taught this tab, beside what it knows alone.

use std::rc::Rc;

use yew::{Callback, Html, Properties, classes, component, html};

use crate::ui::Controls;
use crate::view::{
    digit, format, geometry,
    state::{LearnerView, Point},
};

#[derive(Properties, PartialEq)]
pub(crate) struct LearnerProps {
    pub(crate) learner: Rc<LearnerView>,
    pub(crate) controls: Option<Controls>,
    #[prop_or("span-7")]
    pub(crate) span: &'static str,
}

/// Two figures, two curves, who holds which digit, and sentences that say the same.
#[component]
pub(crate) fn Learner(props: &LearnerProps) -> Html {
    let learner = &props.learner;
    let decimal = |share: Option<f64>| share.map(|value| format!("{value:.4}"));
    html! {
        <section
            class={classes!("card", "learn", props.span)}
            aria-labelledby="learn-title"
            data-exchanges={learner.exchanges.to_string()}
            data-round={learner.round.to_string()}
            data-accuracy={decimal(learner.accuracy)}
            data-alone={decimal(learner.alone)}
            data-partners={learner.partners.to_string()}
            data-running={learner.is_running.to_string()}
            data-classes={learner.own.to_string()}
            data-private={learner.is_private.to_string()}
            data-epsilon={decimal(learner.epsilon)}
        >
            <header>
                <h2 id="learn-title">{ "How well this tab reads" }</h2>
                <span class="aside buttons">
                    { privately(learner, props.controls.as_ref()) }
                    { switch(learner.is_running, props.controls.as_ref()) }
                </span>
            </header>
            <div class="figures">
                { figure("together", learner.accuracy, "with the others") }
                { figure("alone", learner.alone, "alone") }
            </div>
            { chart(learner) }
            <p class="note">{ digit::progress(learner) }{ digit::privacy(learner) }</p>
            { held(learner) }
            <p class="note" aria-live="polite">{ digit::coverage(learner) }</p>
        </section>
    }
}

fn switch(is_running: bool, controls: Option<&Controls>) -> Html {
    let Some(controls) = controls.cloned() else {
        return Html::default();
    };
    let onclick = Callback::from(move |_| controls.learn(!is_running));
    html! {
        <button type="button" class="button small" {onclick} data-action="learn">
            { if is_running { "Pause learning" } else { "Start learning" } }
        </button>
    }
}

/// Switches between learning openly and privately, which begins anew.
fn privately(learner: &LearnerView, controls: Option<&Controls>) -> Html {
    let (Some(controls), true) = (controls.cloned(), learner.is_ready) else {
        return Html::default();
    };
    let is_private = learner.is_private;
    let onclick = Callback::from(move |_| controls.learn_privately(!is_private));
    html! {
        <button type="button" class="button small" {onclick} data-action="private"
            title="Adds noise to what this tab shares, so that nobody can tell any single example in it. Begins anew.">
            { if is_private { "Learn openly" } else { "Learn privately" } }
        </button>
    }
}

fn figure(class: &'static str, share: Option<f64>, label: &'static str) -> Html {
    html! {
        <div class={classes!("figure", class)}>
            <span class="value">{ share.map_or_else(|| "–".into(), format::percent) }</span>
            <span class="label">
                <svg class="key" viewBox="0 0 22 6" aria-hidden="true"><line {class} x1="0" y1="3" x2="22" y2="3" /></svg>
                { label }
            </span>
        </div>
    }
}

fn chart(learner: &LearnerView) -> Html {
    let span = geometry::span(learner.exchanges);
    let (together, alone) = (|p: &Point| p.together, |p: &Point| p.alone);
    let dots = learner.curve.last().map(|last| {
        html! {
            <>
                <path class="dot alone" d={geometry::dot(last, span, alone)} />
                <path class="dot" d={geometry::dot(last, span, together)} />
            </>
        }
    });
    let lines = [0.0, 0.5, 1.0].map(|share| {
        let y = (geometry::CHART_HEIGHT * share).to_string();
        html! { <line class="gridline" x1="0" x2={geometry::CHART_WIDTH.to_string()} y1={y.clone()} y2={y} /> }
    });
    let view = format!("0 0 {} {}", geometry::CHART_WIDTH, geometry::CHART_HEIGHT);
    html! {
        <div class="chart" aria-hidden="true">
            <div class="y"><span>{ "100 %" }</span><span>{ "50 %" }</span><span>{ "0 %" }</span></div>
            <div class="plot">
                <svg viewBox={view} preserveAspectRatio="none">
                    { for lines }
                    <path class="area" d={geometry::area(&learner.curve, span)} />
                    <path class="line alone" d={geometry::curve(&learner.curve, span, alone)} />
                    <path class="line" d={geometry::curve(&learner.curve, span, together)} />
                    { for dots }
                </svg>
            </div>
            <div class="x"><span>{ "0" }</span><span>{ "exchanges with the others" }</span><span>{ span }</span></div>
        </div>
    }
}

/// Ten digits, each marked by who holds it, and what the marks mean. A listener hears the meaning with each digit.
fn held(learner: &LearnerView) -> Html {
    let chips = digit::holders(learner).map(|(digit, holder)| {
        html! {
            <li class={holder.class()} data-digit={digit.to_string()} data-holder={holder.class()}>
                { digit }<span class="hidden">{ ": " }{ holder.word() }</span>
            </li>
        }
    });
    let legend = digit::HOLDERS.map(|holder| {
        html! { <span><i class={holder.class()}></i>{ holder.word() }</span> }
    });
    html! {
        <div class="held">
            <h3 id="held-title">{ "Who holds which digit" }</h3>
            <p aria-hidden="true">{ for legend }</p>
            <ul aria-labelledby="held-title">{ for chips }</ul>
        </div>
    }
}
