//! An engram that came from somebody: what it is, and the five steps by which it is let into a model.

use chorus_core::figure::{counted, escape, short, size};
use serde::Deserialize;

use super::{chart, percent, thousands};

/// What is shown, as `www/studio.js` tells it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Received {
    /// What its author called it.
    name: String,
    /// Who made it.
    author: String,
    /// Bytes that travelled.
    bytes: u64,
    /// What it holds.
    engram: Inside,
    /// Models that are open in this tab: name.
    models: Vec<String>,
    /// The model that it is let into.
    model: Option<String>,
    /// What happened, in order.
    trail: Vec<Event>,
    /// Whether steps are still to come.
    is_running: bool,
    /// Digest of the model before, and as it is now, in hex.
    digests: Option<(String, String)>,
    /// Why the last wish could not be met.
    trouble: Option<String>,
}

/// What an engram holds.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inside {
    tensors: u64,
    parameters: u64,
    /// Bytes of the file that it restores.
    bytes: u64,
    /// Whether every bit comes back.
    is_exact: bool,
    /// Whether it is a difference to a base.
    has_base: bool,
    /// Signal to noise, dB; `None` where every bit comes back.
    decibels: Option<f64>,
}

/// One line of the trail.
#[derive(Debug, Deserialize)]
#[serde(
    tag = "event",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
enum Event {
    Validated {
        parameters: u64,
    },
    Assessed {
        relative_norm: f64,
        cosine: f64,
        before: Option<f64>,
        after: Option<f64>,
    },
    Resolved {
        disagreement: f64,
    },
    Blended {
        alpha: f64,
        metric: Option<f64>,
    },
    Settled {
        alpha: f64,
    },
    Refused,
    RolledBack {
        metric: Option<f64>,
    },
}

/// Returns what the dialog shows. Inputs carry `data-choice`, buttons `data-answer`.
pub fn received(received: &Received) -> String {
    [
        format!(
            "<h2>“{}”</h2><p class=\"note\">What {} has learned, {}.</p>",
            escape(&received.name),
            escape(&short(&received.author)),
            size(received.bytes),
        ),
        inside(received),
        model(received),
        steps(received),
        curve(received),
        kept(received),
        trouble(received),
        buttons(received),
    ]
    .concat()
}

fn inside(received: &Received) -> String {
    let inside = &received.engram;
    let what = if inside.has_base {
        "the difference to a model, "
    } else {
        ""
    };
    let exactness = match inside.decibels.filter(|_| !inside.is_exact) {
        None => format!("{what}to the last bit"),
        Some(decibels) => format!("{what}off by {}", percent(10_f64.powf(-decibels / 20.0))),
    };
    format!(
        "<dl class=\"facts\"><div><dt>Holds</dt><dd>{}</dd></div><div><dt>Numbers</dt><dd>{}</dd></div><div><dt>Unpacked</dt>\
         <dd>{}</dd></div></dl><p class=\"note\">{}.</p>",
        counted(inside.tensors, "tensor"),
        thousands(inside.parameters),
        size(inside.bytes),
        capital(&exactness),
    )
}

fn model(received: &Received) -> String {
    if !received.trail.is_empty() {
        return String::new();
    }
    let open: String = received
        .models
        .iter()
        .enumerate()
        .map(|(at, name)| {
            format!(
                "<label><input type=\"radio\" name=\"model\" data-choice=\"model\" value=\"{at}\"> “{}”, open in this tab</label>",
                escape(name)
            )
        })
        .collect();
    format!(
        "<fieldset><legend>Let it into a model of yours</legend><p class=\"note\">It is blended in little by little, and taken out \
         again where it does harm. Your file stays as it is: what comes out is a new one.</p>{open}\
         <label class=\"button pick\"><input type=\"file\" class=\"hidden\" data-choice=\"file\" accept=\".safetensors\">Choose a \
         model</label></fieldset>"
    )
}

/// A step, how far it is, and what came of it.
struct Row {
    name: &'static str,
    state: State,
    words: String,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Open,
    Now,
    Done,
    Refused,
}

impl State {
    fn mark(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Open => ("open", "·", "to come"),
            Self::Now => ("now", "…", "going on"),
            Self::Done => ("done", "✓", "done"),
            Self::Refused => ("refused", "✗", "refused"),
        }
    }
}

fn rows(received: &Received) -> [Row; 5] {
    let row = |name, words: &str| Row {
        name,
        state: State::Open,
        words: words.into(),
    };
    let mut rows = [
        row("Validate", "does it fit the model"),
        row("Assess", "how large it is, and where it points"),
        row("Resolve", "what contradicts, where there are several"),
        row("Blend", "a share more while nothing gets worse"),
        row("Monitor", "out again where something does"),
    ];
    let mut set = |at: usize, state: State, words: String| {
        rows[at].state = state;
        rows[at].words = words;
    };
    // A step that came implies those before it.
    let mut refused = None;
    for event in &received.trail {
        match event {
            Event::Validated { parameters } => set(
                0,
                State::Done,
                format!("it fits, and touches {} numbers", thousands(*parameters)),
            ),
            Event::Assessed {
                relative_norm,
                cosine,
                before,
                after,
            } => {
                let words = match before.zip(*after) {
                    Some((model, shadow)) => {
                        format!("the model measures {model:.4}, with all of it {shadow:.4}")
                    }
                    None => format!(
                        "as large as {} of the model, {}",
                        percent(*relative_norm),
                        direction(*cosine)
                    ),
                };
                set(1, State::Done, words);
                refused = Some(1);
            }
            Event::Resolved { disagreement } => set(
                2,
                State::Done,
                format!(
                    "they disagreed about {} of the numbers",
                    percent(*disagreement)
                ),
            ),
            Event::Blended { alpha, .. } => {
                set(3, State::Now, format!("{} is in", percent(*alpha)));
                refused = Some(3);
            }
            Event::Settled { alpha } => {
                set(3, State::Done, format!("{} stays in", percent(*alpha)));
                set(4, State::Now, "watched from here on".into());
                refused = Some(4);
            }
            Event::RolledBack {
                metric: Some(metric),
            } => {
                let at = refused.unwrap_or(4);
                set(
                    at,
                    State::Refused,
                    format!("{metric:.4} is past the bound: it is out again"),
                );
            }
            Event::Refused => set(
                1,
                State::Refused,
                "too large, or against what was learned: it stays out".into(),
            ),
            Event::RolledBack { metric: None } => {
                set(4, State::Done, "you took it out again".into())
            }
        }
    }
    let resolved = rows[2].state;
    if resolved == State::Open && rows[3].state != State::Open {
        rows[2].state = State::Done;
        rows[2].words = "there is only this one".into();
    }
    rows
}

/// Where a change points, by its cosine with the model.
fn direction(cosine: f64) -> &'static str {
    if cosine > 0.3 {
        "and goes on where the model was going"
    } else if cosine < -0.3 {
        "and takes back what the model learned"
    } else {
        "and points somewhere new"
    }
}

fn steps(received: &Received) -> String {
    let Some(name) = &received.model else {
        return String::new();
    };
    let rows: String = rows(received)
        .iter()
        .map(|row| {
            let (class, mark, words) = row.state.mark();
            format!(
                "<li class=\"{class}\" data-step=\"{}\" data-state=\"{class}\"><i aria-hidden=\"true\">{mark}</i><span><b>{}</b>\
                 <span class=\"hidden\"> ({words})</span> <span class=\"sub\">{}</span></span></li>",
                row.name.to_lowercase(),
                row.name,
                row.words,
            )
        })
        .collect();
    format!(
        "<section><h3>Into “{}”</h3><ol class=\"steps\">{rows}</ol></section>",
        escape(name)
    )
}

fn curve(received: &Received) -> String {
    let points: Vec<(f64, f64)> = received
        .trail
        .iter()
        .filter_map(|event| match event {
            Event::Blended { alpha, metric } => Some((*alpha, metric.unwrap_or_default())),
            _ => None,
        })
        .collect();
    if points.is_empty() {
        return String::new();
    }
    chart::blend(&points)
}

/// Says whether the model is as it was.
fn kept(received: &Received) -> String {
    let Some((before, now)) = &received.digests else {
        return String::new();
    };
    let words = if before == now {
        "<p class=\"fine\" data-same=\"true\">The model is as it was before, bit for bit.</p>"
    } else {
        "<p class=\"note\" data-same=\"false\">The model has changed. Undo brings back the very bits.</p>"
    };
    let row = |name: &str, digest: &str| format!("<li>{name} <code>{}</code></li>", escape(digest));
    format!(
        "{words}<details><summary>Digests</summary><ul class=\"lines\">{}{}</ul></details>",
        row("before", before),
        row("now", now)
    )
}

fn trouble(received: &Received) -> String {
    let Some(why) = &received.trouble else {
        return String::new();
    };
    format!("<p class=\"warn\" role=\"alert\">{}</p>", escape(why))
}

fn buttons(received: &Received) -> String {
    let close = "<button type=\"button\" class=\"button\" data-answer=\"no\">Close</button>";
    let button = |answer: &str, words: &str, class: &str| {
        format!(
            "<button type=\"button\" class=\"button{class}\" data-answer=\"{answer}\">{words}</button>"
        )
    };
    let mut others = String::new();
    if received.trail.is_empty() && !received.is_running {
        others.push_str(&button("unpack", "Save unpacked", ""));
    }
    let is_over = !received.trail.is_empty() && !received.is_running;
    let is_in = received
        .digests
        .as_ref()
        .is_some_and(|(before, now)| before != now);
    if is_over && is_in {
        others.push_str(&button("undo", "Undo", ""));
        others.push_str(&button("save", "Save the model", " primary"));
    }
    format!("<div class=\"buttons\">{close}{others}</div>")
}

/// Returns `text` with its first letter as a capital.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters
        .next()
        .map(|first| first.to_uppercase().collect::<String>());
    first.unwrap_or_default() + letters.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Markup in every text that comes from outside.
    const EVIL: &str = "<script>alert('x')</script>\"";

    fn value() -> serde_json::Value {
        serde_json::json!({
            "name": EVIL, "author": EVIL, "bytes": 2_440_000,
            "engram": { "tensors": 41, "parameters": 6_500_000, "bytes": 26_000_000, "isExact": false, "hasBase": true, "decibels": 20.0, "layers": 1 },
            "models": [EVIL], "model": EVIL, "isRunning": false, "digests": [EVIL, "b"], "trouble": EVIL,
            "trail": [
                { "event": "validated", "parameters": 6_500_000 },
                { "event": "assessed", "relativeNorm": 0.1, "cosine": 0.0, "before": null, "after": null },
                { "event": "blended", "alpha": 0.125, "metric": 0.5 },
                { "event": "blended", "alpha": 1.0, "metric": 0.75 },
                { "event": "settled", "alpha": 1.0 },
            ],
        })
    }

    fn shown(value: serde_json::Value) -> String {
        received(&serde_json::from_value(value).unwrap())
    }

    #[test]
    fn no_text_from_outside_becomes_markup() {
        let mut value = value();
        let html = shown(value.clone());
        assert!(!html.contains("<script") && !html.contains("alert('x')"));
        value["trail"] = serde_json::json!([]);
        let before = shown(value);
        assert!(!before.contains("<script") && before.contains("open in this tab"));
    }

    #[test]
    fn five_steps_tell_what_came_of_each() {
        let html = shown(value());
        assert_eq!(html.matches("data-step=").count(), 5);
        assert_eq!(html.matches("data-state=\"done\"").count(), 4, "{html}");
        assert!(html.contains("touches 6\u{202f}500\u{202f}000 numbers"));
        assert!(
            html.contains("as large as 10\u{202f}% of the model")
                && html.contains("100\u{202f}% stays in")
        );
        assert!(html.contains("there is only this one"));
        assert!(html.contains("data-answer=\"undo\"") && html.contains("data-answer=\"save\""));
    }

    #[test]
    fn what_is_taken_out_again_is_said_with_its_figure_and_its_proof() {
        let mut value = value();
        value["trail"]
            .as_array_mut()
            .unwrap()
            .push(serde_json::json!({ "event": "rolled-back", "metric": 0.25 }));
        value["digests"] = serde_json::json!(["a", "a"]);
        let html = shown(value.clone());
        assert!(
            html.contains("0.2500 is past the bound") && html.contains("data-state=\"refused\"")
        );
        assert!(html.contains("data-same=\"true\"") && !html.contains("data-answer=\"undo\""));
        value["trail"][5]["metric"] = serde_json::Value::Null;
        assert!(shown(value).contains("you took it out again"));
    }

    #[test]
    fn what_is_not_let_in_at_all_is_refused_where_it_was_assessed() {
        let mut value = value();
        value["trail"] = serde_json::json!([
            { "event": "validated", "parameters": 4 },
            { "event": "assessed", "relativeNorm": 9.0, "cosine": -0.9, "before": null, "after": null },
            { "event": "refused" },
        ]);
        let html = shown(value);
        assert!(
            html.contains("data-step=\"assess\" data-state=\"refused\""),
            "{html}"
        );
        assert!(html.contains("data-step=\"blend\" data-state=\"open\""));
    }
}
