//! Keys, tokens and passwords: by the prefixes their issuers document, by PEM's frame, by what a word before them says.

use super::text::{Text, is_blank};
use super::vocabulary::SECRET;
use super::{Candidate, Kind};

/// A prefix that an issuer documents, and the fewest characters that follow it.
struct Prefix {
    text: &'static [u8],
    min: usize,
    label: &'static str,
}

const fn prefix(text: &'static [u8], min: usize, label: &'static str) -> Prefix {
    Prefix { text, min, label }
}

/// Source: each issuer's documentation, and GitHub's list of secret scanning patterns.
const PREFIXES: &[Prefix] = &[
    prefix(b"AKIA", 16, "AWS key"),
    prefix(b"ASIA", 16, "AWS key"),
    prefix(b"ABIA", 16, "AWS key"),
    prefix(b"ACCA", 16, "AWS key"),
    prefix(b"AIza", 30, "Google key"),
    prefix(b"AGE-SECRET-KEY-1", 50, "age key"),
    prefix(b"EAAC", 40, "Facebook token"),
    prefix(b"GOCSPX-", 20, "Google secret"),
    prefix(b"LTAI", 12, "Alibaba key"),
    prefix(b"NRAK-", 20, "New Relic key"),
    prefix(b"PMAK-", 30, "Postman key"),
    prefix(b"SG.", 30, "SendGrid key"),
    prefix(b"SK", 32, "Twilio key"),
    prefix(b"AC", 32, "Twilio account"),
    prefix(b"ATATT3", 20, "Atlassian token"),
    prefix(b"atlasv1.", 20, "Terraform token"),
    prefix(b"dapi", 32, "Databricks token"),
    prefix(b"dckr_pat_", 20, "Docker token"),
    prefix(b"dop_v1_", 40, "DigitalOcean token"),
    prefix(b"doo_v1_", 40, "DigitalOcean token"),
    prefix(b"dp.pt.", 30, "Doppler token"),
    prefix(b"glc_", 30, "Grafana token"),
    prefix(b"glsa_", 30, "Grafana token"),
    prefix(b"ghp_", 20, "GitHub token"),
    prefix(b"gho_", 20, "GitHub token"),
    prefix(b"ghu_", 20, "GitHub token"),
    prefix(b"ghs_", 20, "GitHub token"),
    prefix(b"ghr_", 20, "GitHub token"),
    prefix(b"github_pat_", 20, "GitHub token"),
    prefix(b"glpat-", 16, "GitLab token"),
    prefix(b"gldt-", 16, "GitLab token"),
    prefix(b"glrt-", 16, "GitLab token"),
    prefix(b"gsk_", 30, "Groq key"),
    prefix(b"hf_", 20, "Hugging Face token"),
    prefix(b"hvs.", 20, "Vault token"),
    prefix(b"key-", 32, "Mailgun key"),
    prefix(b"lin_api_", 30, "Linear key"),
    prefix(b"npm_", 30, "npm token"),
    prefix(b"ntn_", 30, "Notion token"),
    prefix(b"pk_live_", 16, "Stripe key"),
    prefix(b"pk_test_", 16, "Stripe key"),
    prefix(b"pplx-", 30, "Perplexity key"),
    prefix(b"pypi-", 30, "PyPI token"),
    prefix(b"r8_", 30, "Replicate token"),
    prefix(b"rk_live_", 16, "Stripe key"),
    prefix(b"rk_test_", 16, "Stripe key"),
    prefix(b"rubygems_", 30, "RubyGems key"),
    prefix(b"sbp_", 30, "Supabase token"),
    prefix(b"secret_", 32, "Notion token"),
    prefix(b"shpat_", 30, "Shopify token"),
    prefix(b"shpss_", 30, "Shopify token"),
    prefix(b"sk-", 20, "OpenAI or Anthropic key"),
    prefix(b"sk_live_", 16, "Stripe key"),
    prefix(b"sk_test_", 16, "Stripe key"),
    prefix(b"sq0atp-", 20, "Square token"),
    prefix(b"sq0csp-", 30, "Square secret"),
    prefix(b"tskey-", 20, "Tailscale key"),
    prefix(b"vercel_", 20, "Vercel token"),
    prefix(b"whsec_", 20, "webhook secret"),
    prefix(b"xai-", 40, "xAI key"),
    prefix(b"xapp-", 20, "Slack token"),
    prefix(b"xkeysib-", 40, "Brevo key"),
    prefix(b"xoxa-", 16, "Slack token"),
    prefix(b"xoxb-", 16, "Slack token"),
    prefix(b"xoxe-", 16, "Slack token"),
    prefix(b"xoxp-", 16, "Slack token"),
    prefix(b"xoxr-", 16, "Slack token"),
    prefix(b"xoxs-", 16, "Slack token"),
    prefix(b"ya29.", 20, "Google token"),
    prefix(b"eyJ", 17, "JSON web token"),
];

/// The bytes that keys begin with.
static FIRST_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut at = 0;
    while at < PREFIXES.len() {
        table[PREFIXES[at].text[0] as usize] = true;
        at += 1;
    }
    table
};

/// Returns whether `rest` begins like a key.
pub(super) fn starts_key(rest: &[u8]) -> bool {
    let may_start = rest
        .first()
        .is_some_and(|first| FIRST_BYTES[usize::from(*first)]);
    may_start && PREFIXES.iter().any(|prefix| rest.starts_with(prefix.text))
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Returns the key with a known prefix that starts at `at`.
pub(super) fn prefixed(text: &Text, at: usize) -> Option<Candidate> {
    if is_key_byte(text.before(at)) {
        return None;
    }
    let rest = text.bytes.get(at..)?;
    let prefix = PREFIXES
        .iter()
        .find(|prefix| rest.starts_with(prefix.text))?;
    let is_jwt = prefix.text == b"eyJ";
    let dotted = is_jwt || prefix.text.ends_with(b".");
    // No key has more dots: a run of many short parts is not read to its end for each of them.
    let mut dots_left = if dotted { MAX_DOTS } else { 0 };
    let body = rest[prefix.text.len()..]
        .iter()
        .take(MAX_KEY)
        .take_while(|byte| {
            let is_dot = **byte == b'.' && dots_left > 0;
            dots_left -= usize::from(is_dot);
            is_dot || is_key_byte(**byte)
        })
        .count();
    text.work(body);
    let mut end = at + prefix.text.len() + body;
    while matches!(text.before(end), b'.' | b'-') {
        end -= 1;
    }
    let key = text.bytes.get(at + prefix.text.len()..end)?;
    let dots = key.iter().filter(|byte| **byte == b'.').count();
    // Issuers draw keys at random: some digit, or both cases, is in them.
    let is_random = key.iter().any(u8::is_ascii_digit)
        || (key.iter().any(u8::is_ascii_uppercase) && key.iter().any(u8::is_ascii_lowercase));
    let fixed = match prefix.text {
        b"AKIA" | b"ASIA" | b"ABIA" | b"ACCA" => {
            key.len() == 16
                && key
                    .iter()
                    .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        }
        b"SK" | b"AC" | b"key-" | b"dapi" => {
            key.len() == 32 && key.iter().all(u8::is_ascii_hexdigit)
        }
        b"eyJ" => dots == 2 || dots == 4,
        _ => true,
    };
    let is_random = is_random || prefix.text.ends_with(b"IA");
    (key.len() >= prefix.min && is_random && fixed).then_some(Candidate {
        kind: Kind::Secret,
        label: prefix.label,
        start: at,
        end,
        confidence: 95,
    })
}

/// Bytes of the longest key that is read as one.
const MAX_KEY: usize = 4096;
/// One more than the dots of an encrypted JSON web token (RFC 7516, section 7.1).
const MAX_DOTS: usize = 5;

/// Returns the private key in PEM (RFC 7468) or PGP armour whose `BEGIN` is at `at`.
pub(super) fn pem(text: &Text, at: usize) -> Option<Candidate> {
    let start = at.checked_sub(5)?;
    if text.bytes.get(start..at)? != b"-----" {
        return None;
    }
    let header = text.bytes.get(at..text.bytes.len().min(at + 64))?;
    let close = find(header, b"-----")?;
    find(&header[..close], b"PRIVATE KEY")?;
    let body = at + close + 5;
    let end = pem_end(text, body);
    text.work(end - start);
    Some(Candidate {
        kind: Kind::PrivateKey,
        label: "private key",
        start,
        end,
        confidence: 99,
    })
}

/// Returns the end of the lines that belong to the key: base64 and header lines, then the closing line.
fn pem_end(text: &Text, body: usize) -> usize {
    let limit = text.bytes.len().min(body + MAX_PEM);
    let (mut at, mut end) = (body, body);
    while at < limit {
        // A JSON string holds the lines behind `\n`.
        loop {
            at += match &text.bytes[at..limit] {
                [b'\\', b'n' | b'r', ..] => 2,
                [byte, ..] if is_blank(*byte) => 1,
                _ => break,
            };
        }
        let rest = &text.bytes[at..limit];
        if rest.starts_with(b"-----END") {
            let tail = &rest[8..rest.len().min(64)];
            return find(tail, b"-----").map_or(at + 8, |close| at + 8 + close + 5);
        }
        let is_header = rest.starts_with(b"Proc-Type")
            || rest.starts_with(b"DEK-Info")
            || rest.starts_with(b"Version")
            || rest.starts_with(b"Comment");
        let line = rest
            .iter()
            .take_while(|byte| match is_header {
                true => **byte != b'\n',
                false => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='),
            })
            .count();
        // The last line may be short; words of prose are not base64 lines.
        if line == 0 || (!is_header && line < 4) {
            break;
        }
        at += line;
        end = at;
    }
    end
}

/// Bytes of the longest private key: RSA with 16,384 bits has 12 KB in PEM; more is cut into findings.
pub(super) const MAX_PEM: usize = 16 * 1024;

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// Returns the value that the word at `word` (password, token, key …) is given: `password: …`, `"token" = "…"`.
pub(super) fn assigned(text: &Text, word: (usize, usize)) -> Option<Candidate> {
    let limit = word.1 + 24;
    let mut at = word.1;
    // The rest of a name: `aws_secret_access_key`, `x-api-key`.
    while at < limit && (is_key_byte(text.byte(at))) {
        at += 1;
    }
    let name = text.bytes.get(word.0..word.1)?;
    let is_named = |words: &[&[u8]]| words.iter().any(|word| word.eq_ignore_ascii_case(name));
    let is_element = text.before(word.0) == b'<' && text.byte(at) == b'>';
    let blank_or_quote = |byte: u8| matches!(byte, b' ' | b'"' | b'\'' | b'`');
    let mut has_sign = is_element;
    while at < limit
        && (blank_or_quote(text.byte(at)) || matches!(text.byte(at), b':' | b'=' | b'>'))
    {
        has_sign |= matches!(text.byte(at), b':' | b'=');
        at += 1;
    }
    // `password is …`, `lautet`, `est`, `es` also give it.
    if !has_sign {
        let verbs = [&b"is "[..], b"lautet ", b"ist ", b"est ", b"es "];
        let verb = verbs.iter().find(|verb| {
            text.bytes
                .get(at..)
                .is_some_and(|rest| rest.starts_with(verb))
        })?;
        at += verb.len();
        while at < limit + 8 && (blank_or_quote(text.byte(at)) || text.byte(at) == b':') {
            at += 1;
        }
    }
    let scheme = [&b"Bearer "[..], b"Basic ", b"Token ", b"token "];
    if let Some(scheme) = scheme.iter().find(|scheme| {
        text.bytes
            .get(at..)
            .is_some_and(|rest| rest.starts_with(scheme))
    }) {
        at += scheme.len();
    }
    // A key in PEM is read as a whole, as what it is.
    if text
        .bytes
        .get(at..)
        .is_some_and(|rest| rest.starts_with(b"-----BEGIN"))
    {
        return None;
    }
    let mut end = at;
    while end - at < 512
        && end < text.bytes.len()
        && !is_blank(text.byte(end))
        && !b"\"'`<>".contains(&text.byte(end))
        && !(text.byte(end) == b'&' && ends_field(text, end + 1))
    {
        end += 1;
    }
    while end > at
        && matches!(
            text.before(end),
            b'.' | b',' | b';' | b')' | b']' | b'}' | b':'
        )
    {
        end -= 1;
    }
    text.work(end - word.0);
    let value = text.bytes.get(at..end)?;
    if is_named(&COMMON_WORDS) && is_identifier(value) {
        return None;
    }
    // A password may be a word or a number where it is set apart as a value.
    let is_apart = is_element || matches!(text.before(at), b'"' | b'\'');
    let is_number = value.iter().all(u8::is_ascii_digit);
    let is_password = is_named(&PASSWORDS)
        && has_sign
        && (is_apart || is_number)
        && !is_placeholder(value)
        && !VALUES_OF_FORMS
            .iter()
            .any(|word| word.eq_ignore_ascii_case(value));
    (value.len() >= 6 && (is_password || looks_secret(value, has_sign))).then_some(Candidate {
        kind: Kind::Secret,
        label: "password or token",
        start: at,
        end,
        confidence: if has_sign { 75 } else { 65 },
    })
}

/// Words for a password, whose value a person may have chosen.
const PASSWORDS: [&[u8]; 13] = [
    b"password",
    b"passwords",
    b"passwd",
    b"pwd",
    b"passphrase",
    b"passcode",
    b"passwort",
    b"kennwort",
    b"contrasena",
    b"motdepasse",
    b"passe",
    b"wachtwoord",
    b"haslo",
];

/// What stands for a password in forms and schemas, and is none.
const VALUES_OF_FORMS: [&[u8]; 10] = [
    b"string",
    b"password",
    b"passwort",
    b"required",
    b"optional",
    b"hidden",
    b"example",
    b"invalid",
    b"missing",
    b"confirm",
];

/// Words that programs use for much that is not secret.
const COMMON_WORDS: [&[u8]; 8] = [
    b"key", b"keys", b"token", b"tokens", b"auth", b"cle", b"clave", b"claves",
];

/// Returns whether `value` is a name in a program, a path or a number: parts of letters with a few digits.
fn is_identifier(value: &[u8]) -> bool {
    let has_both =
        value.iter().any(u8::is_ascii_digit) && value.iter().any(u8::is_ascii_alphabetic);
    !has_both
        || value
            .split(|byte| !byte.is_ascii_alphanumeric())
            .all(|part| {
                let changes = part
                    .windows(2)
                    .filter(|pair| pair[0].is_ascii_digit() != pair[1].is_ascii_digit())
                    .count();
                let digits = part.iter().filter(|byte| byte.is_ascii_digit()).count();
                changes <= 2 && digits <= 4
            })
}

/// Returns whether a value that a word announces is more than a word itself.
fn looks_secret(value: &[u8], has_sign: bool) -> bool {
    let count = |test: fn(&u8) -> bool| value.iter().filter(|byte| test(byte)).count();
    let digits = count(u8::is_ascii_digit);
    let uppers = count(u8::is_ascii_uppercase);
    let lowers = count(u8::is_ascii_lowercase);
    let others = value.len() - digits - uppers - lowers;
    let classes = [digits, uppers, lowers, others]
        .iter()
        .filter(|count| **count > 0)
        .count();
    let is_number = digits + others == value.len();
    let capitalised = uppers == 1 && value[0].is_ascii_uppercase() && digits == 0 && others == 0;
    !is_placeholder(value)
        && !capitalised
        && classes >= 2
        && (has_sign || classes >= 3 || digits > 0)
        && !(is_number && others > 0 && value.len() < 10)
}

/// Returns whether `value` stands for something that is filled in or hidden.
fn is_placeholder(value: &[u8]) -> bool {
    let starts = [&b"$"[..], b"{", b"[", b"***"];
    starts.iter().any(|start| value.starts_with(start)) || value.contains(&b'(')
}

/// Returns whether a form's next field (`&user=`, `&amp;user=`) has its name at `at`.
fn ends_field(text: &Text, at: usize) -> bool {
    let rest = text.bytes.get(at..).unwrap_or_default();
    let name = rest
        .iter()
        .take(MAX_FIELD)
        .take_while(|byte| is_key_byte(**byte))
        .count();
    text.work(name);
    name > 0 && matches!(rest.get(name), Some(b'=' | b';'))
}

/// Letters of a field's name that are read. Guess: longer than any in use.
const MAX_FIELD: usize = 32;

/// Returns the long token at `at` if it is random and a word nearby says that it is secret.
pub(super) fn random(text: &Text, index: usize, at: usize) -> Option<Candidate> {
    if is_key_byte(text.before(at)) || matches!(text.before(at), b'/' | b'+') {
        return None;
    }
    let mut end = text.run_end(at, |byte| {
        is_key_byte(byte) || matches!(byte, b'+' | b'/' | b'=' | b'.')
    });
    while end > at && matches!(text.before(end), b'.' | b'-') {
        end -= 1;
    }
    let key = text.bytes.get(at..end)?;
    let secret = text.near(index, (at, end), SECRET, 50)?;
    let other = text.near(index, (at, end), super::vocabulary::ORDER, 40);
    let is_named = other.is_none_or(|other| secret < other);
    (key.len() >= 20 && is_named && entropy(key) >= MIN_ENTROPY).then_some(Candidate {
        kind: Kind::Secret,
        label: "random token",
        start: at,
        end,
        confidence: 65,
    })
}

/// Bits per character, in hundredths, from which a token counts as random. Hexadecimal reaches 400 at most, words
/// joined by dashes stay below 320 over 20 characters. Guess: tried on the bench's own texts.
const MIN_ENTROPY: u32 = 330;

/// Returns Shannon's entropy of the bytes in hundredths of a bit per character. At most 128 bytes are looked at.
fn entropy(key: &[u8]) -> u32 {
    let key = &key[..key.len().min(128)];
    let mut counts = [0u8; 128];
    key.iter()
        .for_each(|byte| counts[usize::from(byte & 127)] += 1);
    let total = key.len() as f32;
    let sum: f32 = counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let share = f32::from(*count) / total;
            -share * libm::log2f(share)
        })
        .sum();
    (sum * 100.0) as u32
}

/// Base64 that was decoded.
pub(super) struct Decoded {
    /// What it says; empty where that is no text.
    pub(super) text: alloc::vec::Vec<u8>,
    /// The offset up to which it was read.
    pub(super) end: usize,
    /// Whether more of it follows.
    pub(super) goes_on: bool,
}

/// Decodes the base64 (RFC 4648, both alphabets) that starts at `at`, at most [`MAX_WRAPPED`] characters.
/// `goes_on` says that the characters before it belong to it.
pub(super) fn unwrap_base64(text: &Text, at: usize, goes_on: bool) -> Decoded {
    let mut decoded = alloc::vec::Vec::new();
    let (mut bits, mut filled, mut len) = (0u32, 0, 0);
    let rest = text.bytes.get(at..).unwrap_or_default();
    // Bytes of `decoded` that are known to be text.
    let (mut checked, mut wrong) = (0, None);
    for &byte in rest.iter().take(MAX_WRAPPED) {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => break,
        };
        len += 1;
        bits = bits << 6 | u32::from(value);
        filled += 6;
        if filled < 8 {
            continue;
        }
        filled -= 8;
        let byte = (bits >> filled) as u8;
        // Text has no control characters; random bytes show some at once.
        if byte < 0x20 && !is_blank(byte) || byte == 0x7f {
            wrong = Some(decoded.len());
            break;
        }
        decoded.push(byte);
        if decoded.len() - checked >= CHECKED {
            wrong = invalid(&decoded, &mut checked, goes_on);
            if wrong.is_some() {
                break;
            }
        }
    }
    let wrong = wrong.or_else(|| invalid(&decoded, &mut checked, goes_on));
    text.work(len);
    if len < MIN_WRAPPED || wrong.is_some() {
        decoded.clear();
    }
    Decoded {
        text: decoded,
        end: wrong.map_or(at + len, |wrong| at + wrong / 3 * 4 + 1),
        goes_on: wrong.is_none() && len == MAX_WRAPPED,
    }
}

/// Returns the first of `decoded` from `checked` on that is no UTF-8, and moves `checked` behind what is. A character
/// may be cut where what is decoded at once begins and ends.
fn invalid(decoded: &[u8], checked: &mut usize, goes_on: bool) -> Option<usize> {
    while goes_on
        && *checked < 3
        && decoded
            .get(*checked)
            .is_some_and(|byte| byte & 0xc0 == 0x80)
    {
        *checked += 1;
    }
    match core::str::from_utf8(decoded.get(*checked..)?) {
        Ok(text) => {
            *checked += text.len();
            None
        }
        Err(error) => {
            *checked += error.valid_up_to();
            error.error_len().map(|_| *checked)
        }
    }
}

/// Bytes after which what was decoded is held against UTF-8. Guess: short enough to stop soon in what is no text.
const CHECKED: usize = 64;

/// Characters of base64 that are worth a look: twelve bytes, such as a short address.
const MIN_WRAPPED: usize = 16;
/// Characters of base64 that are decoded at once.
const MAX_WRAPPED: usize = 8 * 1024;
/// Characters of base64 that are decoded with those before them and again with those after them: longer than most
/// that is found, and a multiple of four.
pub(super) const WRAPPED_OVERLAP: usize = 512;
