//! The question before something is shared: what leaves, what was taken out of it, and who can read it.

use serde::Deserialize;

use super::{Budget, counted, escape, lifetime, short, size};

/// What is asked, as `www/dialog.js` tells it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// What leaves, and what does not.
    preview: Preview,
    /// Who has published a key.
    readers: Vec<Reader>,
    /// The noise that was asked for last, or that is proposed.
    wish: Wish,
    /// The packet as JSON, whole.
    json: String,
    /// Bytes of the packet, and of each block that it links to.
    leaving: Vec<u64>,
}

/// Somebody to whom it could be sealed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reader {
    id: String,
    is_chosen: bool,
}

/// What `Noise` is in the API.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wish {
    clip_norm: f64,
    noise_multiplier: f64,
}

/// The part of the API's preview (`www/chorus.d.ts`) that is shown.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Preview {
    name: Option<String>,
    format: String,
    /// The beginning of the content as it leaves, where it is text.
    text: Option<String>,
    /// Bytes of the content as it leaves.
    bytes: u64,
    is_searched: bool,
    is_verbatim: bool,
    notes: Vec<String>,
    findings: Vec<Found>,
    findings_total: u64,
    dropped: Vec<Dropped>,
    dropped_total: u64,
    noise: Option<Noise>,
    checks: Vec<Measured>,
    ttl_secs: u64,
    lines: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    place: String,
    kind: String,
    confidence: u8,
    action: String,
    before: String,
    after: String,
    context_before: String,
    context_after: String,
}

#[derive(Debug, Deserialize)]
struct Dropped {
    block: String,
    key: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Noise {
    clip_norm: f64,
    multiplier: f64,
    epsilon_spent: f64,
    epsilon_budget: f64,
    delta: f64,
    numbers: u64,
    sample: Vec<(f32, f32)>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Measured {
    name: String,
    figure: f64,
    bound: f64,
    side: Side,
    is_met: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Side {
    AtMost,
    AtLeast,
}

/// Returns what the dialog shows. Inputs carry `data-choice`, buttons `data-answer`.
pub fn preview(offer: &Offer) -> String {
    let name = offer.preview.name.as_deref().unwrap_or("this");
    [
        format!(
            "<h2>Share “{}”?</h2><p class=\"note\">Nothing has left your tab yet. Here you see what would, and what is taken out \
             before.</p>",
            escape(name)
        ),
        readers(offer),
        taken_out(offer),
        content(offer),
        noise(offer),
        figures(offer),
        exactly(offer),
        format!(
            "<div class=\"buttons\"><button type=\"button\" class=\"button\" data-answer=\"no\">Keep it here</button>\
             <button type=\"button\" class=\"button primary\" data-answer=\"yes\">Share it{}</button></div>",
            if is_exact(offer) { " without noise" } else { "" }
        ),
    ]
    .concat()
}

fn readers(offer: &Offer) -> String {
    let is_sealed = offer.readers.iter().any(|reader| reader.is_chosen);
    let everybody = if is_sealed { "" } else { " checked" };
    let mut html = format!(
        "<fieldset><legend>Who can read it</legend><label><input type=\"checkbox\" data-choice=\"everybody\" value=\"\"{everybody}> \
         Everybody in this network</label>"
    );
    for Reader { id, is_chosen } in &offer.readers {
        let checked = if *is_chosen { " checked" } else { "" };
        html.push_str(&format!(
            "<label><input type=\"checkbox\" data-choice=\"reader\" value=\"{id}\"{checked}> Only <code title=\"{id}\">{}\
             </code></label>",
            escape(&short(id)),
            id = escape(id),
        ));
    }
    html.push_str(match (offer.readers.is_empty(), is_sealed) {
        (true, _) => {
            "<p class=\"note\">It can be sealed to single tabs once they say, under “What left this tab”, that they take \
             sealed files.</p>"
        }
        (false, true) => {
            "<p class=\"note\">Sealed: nobody else can read it, not even the relay. Others see that you share something, \
             when, and how long it is.</p>"
        }
        (false, false) => "",
    });
    html.push_str("</fieldset>");
    html
}

fn taken_out(offer: &Offer) -> String {
    let Preview {
        findings,
        findings_total,
        dropped,
        dropped_total,
        notes,
        ..
    } = &offer.preview;
    let mut html = String::from("<section><h3>What was found in it</h3>");
    if !offer.preview.is_searched {
        html.push_str(
            "<p class=\"warn\">Only what stands in it as plain text was searched: what is packed or coded inside was not \
             searched, and could not be taken out. It would leave as it is.</p>",
        );
    } else if *findings_total == 0 {
        html.push_str("<p class=\"fine\">Nothing personal was found.</p>");
    }
    if !findings.is_empty() {
        let rows: String = findings.iter().map(row).collect();
        html.push_str(&format!("<div class=\"found\" tabindex=\"0\" role=\"region\" aria-label=\"What was found\"><ul>{rows}</ul></div>"));
        let hidden = findings_total.saturating_sub(findings.len() as u64);
        if hidden > 0 {
            html.push_str(&format!("<p class=\"note\">And {hidden} more.</p>"));
        }
        let checked = if offer.preview.is_verbatim {
            " checked"
        } else {
            ""
        };
        html.push_str(&format!(
            "<label><input type=\"checkbox\" data-choice=\"verbatim\" value=\"\"{checked}> Leave the content as it is. I have read \
             what was found.</label>"
        ));
    }
    if *dropped_total > 0 {
        let mut names: Vec<String> = dropped
            .iter()
            .take(MAX_DROPPED)
            .map(|entry| format!("{} {}", escape(&entry.block), escape(&entry.key)))
            .collect();
        let more = dropped_total.saturating_sub(names.len() as u64);
        if more > 0 {
            names.push(format!("{more} more"));
        }
        html.push_str(&format!(
            "<p>Hidden notes in the file are left out: {}.</p>",
            names.join(", ")
        ));
    }
    for note in notes {
        html.push_str(&format!("<p class=\"warn\">{}</p>", escape(note)));
    }
    html.push_str("</section>");
    html
}

/// The text as others will read it.
fn content(offer: &Offer) -> String {
    let Some(text) = &offer.preview.text else {
        return String::new();
    };
    let rest = offer.preview.bytes.saturating_sub(text.len() as u64);
    let cut = if rest > 0 {
        format!("<p class=\"note\">And {} more.</p>", size(rest))
    } else {
        String::new()
    };
    format!(
        "<section><h3>What others will read</h3><pre class=\"content\" tabindex=\"0\">{}</pre>{cut}</section>",
        escape(text)
    )
}

/// One finding, struck out, with what stands in its place.
fn row(found: &Found) -> String {
    let (before, after) = (escape(&found.before), escape(&found.after));
    let is_kept = found.action == "keep" || found.before == found.after;
    let change = if is_kept {
        format!("<mark>{before}</mark>")
    } else {
        format!(
            "<span class=\"hidden\">taken out: </span><del>{before}</del> <span class=\"hidden\">in its place: </span>\
             <ins>{after}</ins>"
        )
    };
    format!(
        "<li><span class=\"sub\">{place} · {kind}, {sure}\u{202f}% sure{kept}</span><q>{left}{change}{right}</q></li>",
        place = escape(&found.place),
        kind = escape(kind(&found.kind)),
        sure = found.confidence,
        kept = if is_kept { ", stays" } else { "" },
        left = escape(&found.context_before),
        right = escape(&found.context_after),
    )
}

/// Returns what was found in the words of people who never read of it.
fn kind(name: &str) -> &str {
    match name {
        "email" => "e-mail address",
        "phone" => "telephone number",
        "iban" | "bank_account" => "bank account",
        "card" => "payment card",
        "national_id" => "identity number",
        "document" => "number of a document",
        "ip_address" => "network address",
        "mac_address" => "number of a device",
        "credential_url" => "link with a password",
        "secret" => "key or password",
        "private_key" => "private key",
        "wallet" => "wallet",
        "user_path" => "path with a user's name",
        "birth_date" => "date of birth",
        "address" => "postal address",
        "person_name" => "person's name",
        other => other,
    }
}

/// Whether numbers of a model would leave without noise.
fn is_exact(offer: &Offer) -> bool {
    is_packed(offer) || offer.preview.format == "safetensors" && offer.preview.noise.is_none()
}

/// Whether they are packed: noise comes before that, or not at all.
fn is_packed(offer: &Offer) -> bool {
    offer.preview.format == "engram"
}

/// Asks how much noise there is to be.
fn wish(offer: &Offer) -> String {
    if is_packed(offer) {
        return "<section><h3>Noise</h3><p class=\"warn\">Without noise the numbers can tell what they were learned from. There \
                is noise for models that are shared as plain files.</p></section>"
            .into();
    }
    if !is_exact(offer) || offer.preview.is_verbatim {
        return String::new();
    }
    let input = |name: &str, value: f64| {
        format!(
            "<input type=\"number\" min=\"0\" step=\"any\" data-noise=\"{name}\" value=\"{value}\">"
        )
    };
    format!(
        "<fieldset><legend>Noise</legend><p class=\"warn\">Without noise others get the exact numbers, which can tell what \
         they were learned from.</p><label>{} Greatest length of all numbers together (clip norm)</label><label>{} Noise, so \
         many times as large (noise multiplier)</label><p class=\"note\">Noise is paid from your privacy budget when it is drawn, whether or not \
         you share then. Say before who can read it.</p><button type=\"button\" class=\"button\" data-answer=\"noise\">Add \
         noise</button></fieldset>",
        input("clipNorm", offer.wish.clip_norm),
        input("noiseMultiplier", offer.wish.noise_multiplier),
    )
}

fn noise(offer: &Offer) -> String {
    let Some(noise) = &offer.preview.noise else {
        return wish(offer);
    };
    let samples: String = noise
        .sample
        .iter()
        .map(|(before, after)| format!("<li><del>{before:.4}</del> <ins>{after:.4}</ins></li>"))
        .collect();
    format!(
        "<section><h3>Noise</h3><p>{} lose what is yours alone: together at most {} long, noise {} times as large. This \
         share brings what you have spent to ε = {:.2} of {:.2} (δ = {:e}).</p>{}<ul class=\"samples\">{samples}</ul></section>",
        counted(noise.numbers, "number"),
        noise.clip_norm,
        noise.multiplier,
        noise.epsilon_spent,
        noise.epsilon_budget,
        noise.delta,
        Budget {
            spent: noise.epsilon_spent,
            epsilon: noise.epsilon_budget,
            delta: noise.delta,
        }
        .bar(),
    )
}

fn figures(offer: &Offer) -> String {
    let checks = &offer.preview.checks;
    let met = checks.iter().filter(|check| check.is_met).count();
    let all = offer.leaving.iter().sum();
    format!(
        "<dl class=\"facts\"><div><dt>Leaves</dt><dd data-bytes=\"{all}\">{}</dd></div><div><dt>Lives for</dt><dd>{}</dd></div>\
         <div><dt>Checks passed</dt><dd>{met} of {}</dd></div></dl>",
        size(all),
        lifetime(offer.preview.ttl_secs),
        checks.len(),
    )
}

/// The packet itself, for those who want to see all of it.
fn exactly(offer: &Offer) -> String {
    let (packet, blocks) = offer.leaving.split_first().unwrap_or((&0, &[]));
    let shown: String = offer.json.chars().take(MAX_SHOWN).collect();
    let rest = offer.json.chars().count().saturating_sub(MAX_SHOWN);
    let cut = if rest > 0 {
        format!("<p class=\"note\">And {rest} letters more of content.</p>")
    } else {
        String::new()
    };
    let checks: String = offer
        .preview
        .checks
        .iter()
        .map(|check| {
            let sign = if check.is_met { "✓" } else { "✗" };
            let side = match check.side {
                Side::AtMost => "at most",
                Side::AtLeast => "at least",
            };
            let Measured {
                name,
                figure,
                bound,
                ..
            } = check;
            format!("<li>{sign} {}: {figure}, {side} {bound}</li>", escape(name))
        })
        .collect();
    let lines: String = offer
        .preview
        .lines
        .iter()
        .map(|line| format!("<li><code>{}</code></li>", escape(line)))
        .collect();
    let linked = match blocks.len() as u64 {
        0 => "its content inside".into(),
        count => format!(
            "{} with {} of content beside it",
            counted(count, "block"),
            size(blocks.iter().sum())
        ),
    };
    format!(
        "<details><summary>Exactly what leaves</summary><p class=\"note\">A packet of {}, signed by you, {linked}.</p>\
         <h4>What it asks of others</h4><ul class=\"lines\">{lines}</ul><h4>The packet</h4><pre tabindex=\"0\">{}</pre>{cut}\
         <h4>Checks</h4><ul class=\"lines\">{checks}</ul></details>",
        size(*packet),
        escape(&shown),
    )
}

/// Entries of embedded blocks that are told by name.
const MAX_DROPPED: usize = 12;
/// Letters of the packet's JSON form that are shown. Guess: metadata and the beginning of the content.
const MAX_SHOWN: usize = 4_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Markup in every text that comes from outside.
    const EVIL: &str = "<script>alert('x')</script>\"";

    fn offer() -> serde_json::Value {
        serde_json::json!({
            "preview": {
                "name": EVIL, "format": "text", "text": EVIL, "bytes": 1049, "isSearched": true, "isVerbatim": false, "notes": [EVIL], "findingsTotal": 3, "droppedTotal": 14,
                "findings": [{
                    "place": EVIL, "kind": EVIL, "label": EVIL, "confidence": 95, "action": "mask", "before": EVIL,
                    "after": EVIL.to_owned() + "[email]", "contextBefore": EVIL, "contextAfter": EVIL,
                }],
                "dropped": [{ "block": EVIL, "key": EVIL }],
                "noise": {
                    "clipNorm": 1.0, "multiplier": 4.0, "epsilonSpent": 2.0, "epsilonBudget": 8.0, "delta": 1e-5, "numbers": 4,
                    "sample": [[0.5, 0.75]],
                },
                "checks": [{ "name": EVIL, "figure": 0.0, "bound": 0.0, "side": "at_most", "isMet": true }, {
                    "name": "owners", "figure": 3.0, "bound": 5.0, "side": "at_least", "isMet": false
                }],
                "ttlSecs": 86_400, "lines": [EVIL],
            },
            "readers": [{ "id": EVIL, "isChosen": false }],
            "wish": { "clipNorm": 1.0, "noiseMultiplier": 4.0 },
            "json": EVIL,
            "leaving": [300, 1000, 200],
        })
    }

    fn shown(offer: serde_json::Value) -> String {
        preview(&serde_json::from_value(offer).unwrap())
    }

    #[test]
    fn no_text_from_outside_becomes_markup() {
        let html = shown(offer());
        assert!(!html.contains("<script") && !html.contains("alert('x')"));
        // In every place at which it stands.
        assert_eq!(html.matches("&lt;script&gt;").count(), 16, "{html}");
    }

    #[test]
    fn a_finding_is_struck_out_beside_what_stands_for_it() {
        let mut offer = offer();
        let found = &mut offer["preview"]["findings"][0];
        found["before"] = "ada@example.org".into();
        found["after"] = "[email]".into();
        let html = shown(offer.clone());
        assert!(html.contains("<del>ada@example.org</del>") && html.contains("<ins>[email]</ins>"));
        assert!(html.contains("And 2 more."));
        assert!(html.contains("13 more"), "{html}");
        offer["preview"]["findings"][0]["action"] = "keep".into();
        offer["preview"]["isVerbatim"] = true.into();
        let html = shown(offer);
        assert!(html.contains("<mark>ada@example.org</mark>") && html.contains(", stays"));
        assert!(html.contains("data-choice=\"verbatim\" value=\"\" checked"));
    }

    #[test]
    fn what_was_not_searched_is_never_called_clean() {
        let mut offer = offer();
        offer["preview"]["findings"] = serde_json::json!([]);
        offer["preview"]["findingsTotal"] = 0.into();
        assert!(shown(offer.clone()).contains("Nothing personal was found."));
        offer["preview"]["isSearched"] = false.into();
        let html = shown(offer);
        assert!(!html.contains("Nothing personal") && html.contains("was not searched"));
    }

    #[test]
    fn figures_are_those_of_what_leaves() {
        let html = shown(offer());
        assert!(html.contains("data-bytes=\"1500\">1.5 kB"), "{html}");
        assert!(html.contains("2 blocks with 1.2 kB of content"));
        assert!(html.contains("1 of 2") && html.contains("1 day"));
        assert!(html.contains("✗ owners: 3, at least 5"), "{html}");
        assert!(html.contains("ε = 2.00 of 8.00"));
    }

    #[test]
    fn a_text_is_shown_as_it_leaves_and_the_rest_of_it_counted() {
        let mut offer = offer();
        offer["preview"]["text"] = "dear [email]".into();
        let html = shown(offer.clone());
        assert!(html.contains("<pre class=\"content\" tabindex=\"0\">dear [email]</pre>"));
        assert!(html.contains("And 1.0 kB more."), "{html}");
        offer["preview"]["text"] = serde_json::Value::Null;
        assert!(!shown(offer).contains("class=\"content\""));
    }

    #[test]
    fn noise_is_offered_for_numbers_of_a_model_and_its_lack_is_said() {
        let mut offer = offer();
        assert!(!shown(offer.clone()).contains("data-noise"));
        offer["preview"]["format"] = "safetensors".into();
        let noised = shown(offer.clone());
        assert!(!noised.contains("data-noise") && noised.contains(">Share it<"));
        offer["preview"]["noise"] = serde_json::Value::Null;
        let exact = shown(offer.clone());
        assert!(
            exact.contains("data-noise=\"clipNorm\" value=\"1\""),
            "{exact}"
        );
        assert!(exact.contains("data-noise=\"noiseMultiplier\" value=\"4\""));
        assert!(exact.contains(">Share it without noise<"));
        // What leaves as it is cannot have noise.
        offer["preview"]["isVerbatim"] = true.into();
        let verbatim = shown(offer);
        assert!(!verbatim.contains("data-noise") && verbatim.contains("without noise"));
    }

    #[test]
    fn of_a_packed_model_it_is_said_that_there_is_no_noise() {
        let mut offer = offer();
        offer["preview"]["format"] = "engram".into();
        offer["preview"]["noise"] = serde_json::Value::Null;
        let html = shown(offer);
        assert!(html.contains(">Share it without noise<") && html.contains("as plain files"));
        assert!(!html.contains("data-noise"));
    }

    #[test]
    fn a_chosen_reader_takes_it_from_everybody() {
        let mut offer = offer();
        assert!(shown(offer.clone()).contains("data-choice=\"everybody\" value=\"\" checked"));
        offer["readers"][0]["isChosen"] = true.into();
        let html = shown(offer);
        assert!(
            !html.contains("data-choice=\"everybody\" value=\"\" checked")
                && html.contains("Sealed: nobody else")
        );
    }
}
