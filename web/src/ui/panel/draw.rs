//! A pad to draw a digit on, and what the model takes it for.

use wasm_bindgen::JsCast;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, PointerEvent};
use yew::{
    Callback, Html, NodeRef, Properties, classes, component, html, use_effect_with, use_mut_ref,
    use_node_ref, use_state,
};

use crate::ui::{Controls, Sample};
use crate::view::{
    drawing::{Dot, Drawing},
    format,
};

#[derive(Properties, PartialEq)]
pub(crate) struct DrawProps {
    pub(crate) controls: Option<Controls>,
    /// Changes whenever the model does.
    pub(crate) revision: u64,
    #[prop_or("span-5")]
    pub(crate) span: &'static str,
}

/// What is on the pad.
#[derive(Debug, Clone, PartialEq)]
enum Pad {
    Empty,
    Drawn([f32; 64]),
    Shown(Sample),
}

impl Pad {
    fn pixels(&self) -> Option<&[f32; 64]> {
        match self {
            Self::Empty => None,
            Self::Drawn(pixels) => Some(pixels),
            Self::Shown(sample) => Some(&sample.pixels),
        }
    }
}

/// The pad, the answer and the ten chances, live while drawing.
#[component]
pub(crate) fn Draw(props: &DrawProps) -> Html {
    let canvas = use_node_ref();
    let drawing = use_mut_ref(Drawing::default);
    let pad = use_state(|| Pad::Empty);
    let chances = pad
        .pixels()
        .and_then(|pixels| props.controls.as_ref()?.predict(pixels));

    {
        let (canvas, drawing) = (canvas.clone(), drawing.clone());
        use_effect_with((*pad).clone(), move |pad| match pad {
            Pad::Shown(sample) => paint_sample(&canvas, sample),
            Pad::Empty | Pad::Drawn(_) => paint(&canvas, &drawing.borrow()),
        });
    }

    let change = {
        let (drawing, pad) = (drawing.clone(), pad.clone());
        move |edit: &dyn Fn(&mut Drawing)| {
            let mut drawing = drawing.borrow_mut();
            edit(&mut drawing);
            pad.set(drawing.pixels().map_or(Pad::Empty, Pad::Drawn));
        }
    };
    let onpointerdown = {
        let (canvas, change) = (canvas.clone(), change.clone());
        Callback::from(move |event: PointerEvent| {
            let Some(element) = canvas.cast::<HtmlCanvasElement>() else {
                return;
            };
            // Without capture the stroke only ends at the pad's edge.
            let _ = element.set_pointer_capture(event.pointer_id());
            change(&|drawing| drawing.press(place(&element, &event)));
        })
    };
    let onpointermove = {
        let (canvas, change) = (canvas.clone(), change.clone());
        Callback::from(move |event: PointerEvent| {
            if event.buttons() & 1 == 0 {
                return;
            }
            let Some(element) = canvas.cast::<HtmlCanvasElement>() else {
                return;
            };
            change(&|drawing| drawing.drag(place(&element, &event)));
        })
    };
    let clear = {
        let change = change.clone();
        Callback::from(move |_| change(&Drawing::clear))
    };
    let show = {
        let (controls, drawing, pad) = (props.controls.clone(), drawing.clone(), pad.clone());
        Callback::from(move |_| {
            if let Some(sample) = controls.as_ref().and_then(|c| c.sample()) {
                drawing.borrow_mut().clear();
                pad.set(Pad::Shown(sample));
            }
        })
    };
    html! {
        <section class={classes!("card", "draw", props.span)} aria-labelledby="draw-title" data-revision={props.revision.to_string()}>
            <header><h2 id="draw-title">{ "Draw a digit" }</h2></header>
            <div class="board">
                <div class="pad">
                    <canvas
                        ref={canvas} width="440" height="440" role="img"
                        aria-label="A pad to draw a digit on with a finger, pen or mouse. From the keyboard, use “Show me one”."
                        {onpointerdown} {onpointermove}
                    />
                    if *pad == Pad::Empty {
                        <span class="hint" aria-hidden="true">{ "Draw here, 0 to 9, with your finger or mouse" }</span>
                    }
                </div>
                { answer(&pad, chances.as_ref()) }
            </div>
            { bars(chances.as_ref()) }
            <div class="buttons">
                <button type="button" class="button" onclick={clear} disabled={*pad == Pad::Empty}>{ "Clear" }</button>
                <button type="button" class="button" onclick={show} disabled={props.controls.is_none()}>{ "Show me one" }</button>
            </div>
        </section>
    }
}

fn answer(pad: &Pad, chances: Option<&[f32; 10]>) -> Html {
    let guess = chances.map(best);
    let words = match (pad, guess) {
        (Pad::Empty, _) => "What you draw stays in this tab.".into(),
        (_, None) => "The model is not here yet.".into(),
        (Pad::Shown(sample), Some((digit, chance))) if usize::from(sample.label) == digit => {
            format!(
                "A {digit}, and right: {} sure.",
                format::percent(chance.into())
            )
        }
        (Pad::Shown(sample), Some((digit, chance))) => {
            format!(
                "It says {digit}, {} sure. It is a {}.",
                format::percent(chance.into()),
                sample.label
            )
        }
        (Pad::Drawn(_), Some((digit, chance))) => {
            format!(
                "Looks like a {digit}: {} sure.",
                format::percent(chance.into())
            )
        }
    };
    html! {
        <div class="answer" data-guess={guess.map(|(digit, _)| digit.to_string())}>
            <span class={classes!("guess", guess.is_none().then_some("none"))} aria-hidden="true">
                { guess.map_or_else(|| "?".into(), |(digit, _)| digit.to_string()) }
            </span>
            <p class="note" role="status">{ words }</p>
        </div>
    }
}

fn bars(chances: Option<&[f32; 10]>) -> Html {
    let top = chances.map(|c| best(c).0);
    let bars = (0..10).map(|digit| {
        let chance = chances.map_or(0.0, |c| c[digit]).clamp(0.0, 1.0);
        let height = chance * 64.0;
        html! {
            <li class={(top == Some(digit)).then_some("top")} data-digit={digit.to_string()} data-chance={format!("{chance:.4}")}>
                <svg viewBox="0 0 10 64" preserveAspectRatio="none" aria-hidden="true">
                    <rect x="0" width="10" y={(64.0 - height).to_string()} height={height.to_string()} />
                </svg>
                <span>{ digit }</span>
            </li>
        }
    });
    html! { <ul class="chances" aria-label="How likely each digit is">{ for bars }</ul> }
}

fn best(chances: &[f32; 10]) -> (usize, f32) {
    let mut top = (0, chances[0]);
    for (digit, chance) in chances.iter().enumerate() {
        if *chance > top.1 {
            top = (digit, *chance);
        }
    }
    top
}

/// Returns where on the pad the event happened, both coordinates in 0..=1.
fn place(canvas: &HtmlCanvasElement, event: &PointerEvent) -> Dot {
    let rect = canvas.get_bounding_client_rect();
    let share =
        |at: f64, start: f64, length: f64| ((at - start) / length.max(1.0)).clamp(0.0, 1.0) as f32;
    (
        share(event.client_x().into(), rect.left(), rect.width()),
        share(event.client_y().into(), rect.top(), rect.height()),
    )
}

/// Returns a wiped context and the pad's ink, which follows the colour scheme.
fn context(canvas: &NodeRef) -> Option<(CanvasRenderingContext2d, f64)> {
    let element = canvas.cast::<HtmlCanvasElement>()?;
    let context: CanvasRenderingContext2d = element.get_context("2d").ok()??.dyn_into().ok()?;
    let side = f64::from(element.width());
    context.clear_rect(0.0, 0.0, side, side);
    let style = web_sys::window()?.get_computed_style(&element).ok()??;
    let ink = style
        .get_property_value("color")
        .unwrap_or_else(|_| "gray".into());
    context.set_stroke_style_str(&ink);
    context.set_fill_style_str(&ink);
    Some((context, side))
}

fn paint(canvas: &NodeRef, drawing: &Drawing) {
    let Some((context, side)) = context(canvas) else {
        return;
    };
    context.set_line_width(side * 0.085);
    context.set_line_cap("round");
    context.set_line_join("round");
    for stroke in drawing.strokes() {
        context.begin_path();
        for (index, (x, y)) in stroke.iter().enumerate() {
            let (x, y) = (f64::from(*x) * side, f64::from(*y) * side);
            if index == 0 {
                context.move_to(x, y);
            }
            context.line_to(x, y);
        }
        context.stroke();
    }
}

fn paint_sample(canvas: &NodeRef, sample: &Sample) {
    let Some((context, side)) = context(canvas) else {
        return;
    };
    let cell = side / 8.0;
    for (index, ink) in sample.pixels.iter().enumerate() {
        context.set_global_alpha((*ink).clamp(0.0, 1.0).into());
        let (x, y) = ((index % 8) as f64 * cell, (index / 8) as f64 * cell);
        context.fill_rect(x, y, cell, cell);
    }
    context.set_global_alpha(1.0);
}
