//! The rules against numbers from the specifications, adversarial texts, and arbitrary bytes.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::*;

mod limits;
mod ordinary;

fn scrubber() -> Scrubber {
    Scrubber::new(Policy::all(Action::Mask), Salt::from_bytes([7; 32]))
}

/// Returns what is found in `text`: kind and text of each finding.
fn found(text: &str) -> Vec<(Kind, String)> {
    let findings = scrubber().scan(text).findings;
    findings
        .iter()
        .map(|finding| (finding.kind, text[finding.span.clone()].to_string()))
        .collect()
}

/// Asserts that exactly `value`, of `kind`, is found in `text`, where `{}` stands for it.
fn assert_found(kind: Kind, text: &str, value: &str) {
    let text = text.replace("{}", value);
    assert_eq!(found(&text), [(kind, value.to_string())], "{text}");
}

fn assert_nothing(text: &str) {
    assert_eq!(found(text), [], "{text}");
}

#[test]
fn identity_numbers_from_the_specifications_are_found() {
    // Each is an example of the authority that gives such numbers, or of the article that explains its check.
    for (text, value) in [
        ("SSN {}", "219-09-9998"),
        ("My SSN is {}.", "219099998"),
        ("ITIN: {}", "912-70-1234"),
        ("MBI {}", "1EG4-TE5-MK73"),
        ("NHS number {}", "943 476 5919"),
        ("NI number: {}", "AB 12 34 56 C"),
        ("{}", "AB123456C"),
        ("Steuer-ID {}", "86095742719"),
        ("Rentenversicherung {}", "15070649C103"),
        ("NIR {}", "2 55 08 14 168 025 38"),
        ("NIR {}", "253072B07300470"),
        ("DNI {}", "12345678Z"),
        ("NIE: {}", "X1234567L"),
        ("{}", "RSSMRA85T10A562S"),
        ("PESEL {}", "44051401359"),
        ("personnummer {}", "811228-9874"),
        ("BSN {}", "111222333"),
        ("AHV {}", "756.9217.0769.85"),
        ("TFN {}", "123 456 782"),
        ("ABN {}", "51 824 753 556"),
        ("Medicare {}", "2123 45670 1"),
        ("NRIC {}", "S1234567D"),
        ("PAN {}", "ABCPE1234F"),
        ("hetu {}", "131052-308T"),
        ("CPF {}", "111.444.777-35"),
        ("SIN {}", "046 454 286"),
    ] {
        assert_found(Kind::NationalId, text, value);
    }
}

#[test]
fn a_wrong_check_digit_is_no_identity_number() {
    for text in [
        "Steuer-ID 86095742718",
        "NIR 2 55 08 14 168 025 39",
        "DNI 12345678A",
        "NIE: X1234567T",
        "RSSMRA85T10A562T",
        "PESEL 44051401358",
        "AHV 756.9217.0769.84",
        "ABN 51 824 753 557",
        "NRIC S1234567A",
        "hetu 131052-308U",
        "CPF 111.444.777-36",
        "SSN 000-12-3456",
        "SSN 666-12-3456",
        "NHS 943 476 5918",
    ] {
        let found = found(text);
        assert!(
            found.iter().all(|(kind, _)| *kind != Kind::NationalId),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn cards_and_accounts_are_found_by_their_checks() {
    for card in [
        "4111111111111111",
        "4111 1111 1111 1111",
        "5500-0000-0000-0004",
        "340000000000009",
        "3782 822463 10005",
        "30569309025904",
        "6011111111111117",
        "3530111333300000",
        "2223003122003222",
    ] {
        assert_found(Kind::Card, "I paid with {} yesterday", card);
        assert_found(Kind::Card, "{}", card);
    }
    for iban in [
        "DE89370400440532013000",
        "DE89 3704 0044 0532 0130 00",
        "GB29 NWBK 6016 1331 9268 19",
        "FR14 2004 1010 0505 0001 3M02 606",
        "ES91 2100 0418 4502 0005 1332",
        "NO9386011117947",
        "MT84MALT011000012345MTLCAST001S",
    ] {
        assert_found(Kind::Iban, "bitte auf {} zahlen", iban);
    }
    assert_nothing("The card 4111 1111 1111 1112 was refused");
    assert_nothing("DE89 3704 0044 0532 0130 01");
    assert_nothing("4000000000000000 steps");
}

#[test]
fn machines_and_mailboxes_are_found() {
    for mail in [
        "jane.doe+tag@mail.example.co.uk",
        "müller@bücher.example",
        "\"odd name\"@example.org",
        "x@example.museum",
    ] {
        assert_found(Kind::Email, "Ask {}, please", mail);
    }
    for ip in [
        "192.168.1.77",
        "2001:db8::8a2e:370:7334",
        "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
        "::ffff:192.0.2.128",
        "fe80::1",
    ] {
        assert_found(Kind::IpAddress, "login from {}", ip);
    }
    for mac in ["00:1A:2b:3C:4d:5E", "EC-D6-6B-C9-B3-A1", "001a.2b3c.4d5e"] {
        assert_found(Kind::MacAddress, "device {} joined", mac);
    }
    assert_found(
        Kind::CredentialUrl,
        "see {} there",
        "postgres://joe:s3cr3t@db.example.org:5432/x",
    );
    for text in [
        "version 1.2.3.4 is out",
        "at 12:34:56 or 12:34",
        "std::vector<int> and a::b",
        "icon@2x.png",
        "@mention and user@",
        "https://example.org/a@b",
        "999.1.1.1 and 1.2.3",
        "10:20:30:40:50",
    ] {
        assert_nothing(text);
    }
}

#[test]
fn keys_and_tokens_are_found() {
    // Put together, so that no scanner takes this file for a leak.
    for parts in [
        ["AKIA", "IOSFODNN7EXAMPLE"],
        ["ghp_", "16C7e42F292c6912E7710c838347Ae178B4a"],
        ["glpat-", "a1B2c3D4e5F6g7H8i9J0"],
        [
            "xoxb-",
            "123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx",
        ],
        ["sk_live_", "4eC39HqLyjWDarjtT1zdp7dc"],
        ["sk-ant-api03-", "a1B2c3D4e5F6g7H8i9J0a1B2c3D4e5F6g7H8i9J0"],
        ["AIza", "SyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY"],
        ["npm_", "a1B2c3D4e5F6g7H8i9J0a1B2c3D4e5F6g7H8"],
        [
            "eyJhbGciOiJIUzI1NiJ9.",
            "eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
        ],
    ] {
        assert_found(Kind::Secret, "use {} now", &parts.concat());
    }
    assert_found(Kind::Secret, "password: {}", "hunter2!x");
    assert_found(Kind::Secret, "mot de passe : {}", "Tr0ub4dor");
    assert_found(Kind::Secret, "api_key = \"{}\"", "9f8a7b6c5d4e3f2a1b0c");
    let pem = [
        "-----BEGIN RSA ",
        "PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7f\nabcd==\n-----END RSA ",
        "PRIVATE KEY-----",
    ]
    .concat();
    assert_found(Kind::PrivateKey, "key:\n{}\nend", &pem);
    let escaped = pem.replace('\n', "\\n");
    for text in [
        "{\"private_key\": \"{}\\n\", \"id\": 1}",
        "PRIVATE_KEY=\"{}\"",
        "key: {}",
        "token = '{}'",
    ] {
        assert_found(Kind::PrivateKey, text, &pem);
        assert_found(Kind::PrivateKey, text, &escaped);
    }
    for text in [
        "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "commit 84ef988a1f0c2d3e4b5a69788796a5b4c3d2e1f0",
        "request 123e4567-e89b-12d3-a456-426614174000",
        "the password is required",
        "a token: see below",
    ] {
        assert_nothing(text);
    }
}

#[test]
fn passwords_that_a_person_chose_are_found_whole() {
    for (text, value) in [
        ("{\"password\": \"{}\"}", "swordfish"),
        ("password: {}", "12345678"),
        ("<password>{}</password>", "S3cr3t!pw"),
        ("<Password>{}</Password>", "swordfish"),
        ("password: {}", "Xy7&kL9!pq"),
        ("https://example.org/?password={}&user=1", "Xy7kL9!pq"),
        ("password={}&amp;user=1", "Xy7kL9!pq"),
    ] {
        assert_found(Kind::Secret, text, value);
    }
    for text in [
        "{\"password\": \"string\"}",
        "password: required",
        "<key>CFBundleName</key>",
        "password = \"{secret}\"",
    ] {
        assert_nothing(text);
    }
}

#[test]
fn wallets_are_found_by_their_checks() {
    for wallet in [
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
        "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        "0xde709f2102306220921060314715629080e2fb77",
    ] {
        assert_found(Kind::Wallet, "send it to {} please", wallet);
    }
    assert_nothing("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb");
    assert_nothing("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5");
}

#[test]
fn telephone_numbers_are_found_as_each_country_writes_them() {
    for phone in [
        "+49 30 901820",
        "+1 (212) 555-0123",
        "+44 20 7946 0958",
        "+33 (0)1 23 45 67 89",
        "0033 1 23 45 67 89",
        "01 23 45 67 89",
        "(212) 555-0123",
        "212-555-0123 x42",
        "030/1234567",
        "(0221) 4710-123",
        "612 345 678",
    ] {
        assert_found(Kind::Phone, "Tel. {}", phone);
    }
    assert_nothing("It costs 1234567 points");
    assert_nothing("order 2125550123");
}

#[test]
fn dates_are_personal_only_as_dates_of_birth() {
    for (text, date) in [
        ("born on {}", "12 March 1985"),
        ("DOB: {}", "03/12/1985"),
        ("geboren am {} in Ulm", "12. März 1985"),
        ("geb. {}", "12.3.85"),
        ("née le {}", "12 mars 1985"),
        ("nacido el {}", "12 de marzo de 1985"),
        ("birthday {}", "March 12, 1985"),
        ("fecha de nacimiento: {}", "1985-03-12"),
    ] {
        assert_found(Kind::BirthDate, text, date);
    }
    assert_nothing("released on 12 March 2024");
    assert_nothing("2024-03-12T10:15:00Z started");
}

#[test]
fn addresses_are_found_as_each_country_writes_them() {
    for address in [
        "1600 Pennsylvania Avenue, Washington, DC 20500",
        "221B Baker Street, London NW1 6XE",
        "Willy-Brandt-Straße 1, 10557 Berlin",
        "Hauptstr. 12a, 50667 Köln",
        "55, rue du Faubourg Saint-Honoré, 75008 Paris",
        "Calle de Alcalá 45, 28014 Madrid",
    ] {
        assert_found(Kind::Address, "We are at {}", address);
    }
    assert_nothing("Take the street on the left");
    assert_nothing("Platz 3 im Rennen");
}

#[test]
fn names_are_found_by_dictionary_title_and_cue() {
    for (text, name) in [
        ("I met {} there", "Anna Weber"),
        ("said {} today", "Jean-Pierre Dubois"),
        ("Frau {} kommt", "Wieczorek"),
        ("Dr. {} wrote", "Xanthippe Quill"),
        ("my name is {}", "Zorblat Quuxley"),
        ("Me llamo {}.", "María de la Cruz"),
    ] {
        assert_found(Kind::PersonName, text, name);
    }
    assert_nothing("The United Nations met in Geneva on Monday");
    assert_nothing("Open the door before you leave");
}

#[test]
fn paths_with_users_are_found() {
    let home = ["/ho", "me/jdoe/data/x.csv"].concat();
    let mac = ["/Us", "ers/jdoe/Desktop"].concat();
    for path in [
        home.as_str(),
        mac.as_str(),
        "C:\\Users\\Jean Dupont\\Documents\\a.txt",
        "C:\\\\Users\\\\jdoe\\\\x",
    ] {
        assert_found(Kind::UserPath, "open {} failed", path);
    }
    assert_nothing("C:\\Users\\Public\\x and /home");
}

#[test]
fn what_is_hidden_from_programs_is_found_as_a_person_sees_it() {
    for (kind, text) in [
        (Kind::Card, "４１１１ １１１１ １１１１ １１１１"),
        (Kind::Card, "4111\u{200b}1111\u{200b}1111\u{200b}1111"),
        (Kind::Card, "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
        (Kind::Card, "4111.1111.1111.1111"),
        (Kind::Card, "4111\u{a0}1111\u{2011}1111\u{a0}1111"),
        (Kind::Email, "jane%40example.org"),
        (Kind::Email, "jane&#64;example.org"),
        (Kind::Email, "jane\\u0040example.org"),
        (Kind::Email, "ja\u{ad}ne@exam\u{200d}ple.org"),
        (Kind::Email, "jаne＠exаmple。org"),
        (Kind::Email, "jane [at] example [dot] org"),
        (Kind::Iban, "DЕ89 3704 0044 0532 0130 00"),
        (Kind::Iban, "DE89-3704-0044-0532-0130-00"),
        (Kind::NationalId, "٨٦٠٩٥٧٤٢٧١٩"),
        (Kind::Phone, "+49\u{202c} 30 90\u{2060}1820"),
    ] {
        assert_found(kind, "note: {} end", text);
    }
    // Base64 of "mail jane@example.org", of a key's first lines, and of nothing personal.
    assert_found(Kind::Email, "data {} end", "bWFpbCBqYW5lQGV4YW1wbGUub3Jn");
    assert_found(Kind::Card, "data {} end", "Y2FyZCA0MTExMTExMTExMTExMTEx");
    assert_nothing("data dGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcw== end");
    // Signs among the first characters, a path before it, and bytes far behind its beginning.
    for text in [
        "data {} end",
        "\"{}\"",
        "/data/{} end",
        "see src/{}",
        "(in a/ab/abc/{})",
        "/tmp/x-y/run/{}.txt",
        "x={}",
    ] {
        assert_found(Kind::Email, text, "bWFpbCBqYW5lQGV4YW1wbGUub3Jn");
        if !text.contains('/') {
            assert_found(Kind::Email, text, "b2s/IG1haWwgamFuZUBleGFtcGxlLm9yZw==");
        }
    }
    let far = [
        "bG9yZW0gaXBzdW0g".repeat(900),
        "bWFpbCBqYW5lQGV4YW1wbGUub3JnIA==".to_string(),
    ];
    assert_found(Kind::Email, "data {} end", &far.concat());
    let middle = [
        "bG9yZW0gaXBzdW0g".repeat(900),
        "bWFpbCBqYW5lQGV4YW1wbGUub3Jn".to_string(),
        "bG9yZW0gaXBzdW0g".repeat(900),
    ];
    assert_found(Kind::Email, "data {} end", &middle.concat());
    // Base64 of the first line's base64: unwrapped once, no more.
    assert_nothing("data YldGcGJDQnFZVzVsUUdWNFlXMXdiR1V1YjNKbg== end");
}

#[test]
fn what_follows_a_row_of_short_columns_is_found() {
    for row in [
        "7,1,0,3,2,9,4,5,",
        "7 1 0 3 2 9 4 5 6 ",
        "12,5,255,0,1,99,3,4,17,",
    ] {
        for (kind, value) in [
            (Kind::IpAddress, "192.168.1.77"),
            (Kind::IpAddress, "8.8.4.4"),
            (Kind::NationalId, "078-05-1120"),
            (Kind::Phone, "212-555-0123"),
            (Kind::MacAddress, "00:1A:2b:3C:4d:5E"),
            (Kind::Card, "4111 1111 1111 1111"),
        ] {
            assert_found(kind, &[row, "{}"].concat(), value);
        }
    }
    assert_found(Kind::BirthDate, "born 7,1,0,3,2,9,4,5,{}", "3/12/1985");
}

#[test]
fn bytes_that_are_no_utf_8_hide_nothing() {
    let scan = scrubber().scan(b"\xff\xfe jane@example.org \xc3(\xa0\xa1 4111111111111111\xf0\x28");
    let kinds: Vec<_> = scan
        .findings
        .iter()
        .map(|finding| (finding.kind, finding.span.clone()))
        .collect();
    assert_eq!(kinds, [(Kind::Email, 3..19), (Kind::Card, 25..41)]);
    let left = scrubber().scrub(b"a\xffb jane@example.org").unwrap().text;
    assert_eq!(left, "a\u{fffd}b [email]");
}

#[test]
fn findings_across_pieces_are_found_once() {
    // The pieces that are folded at once have 256 KiB: one finding stands across each border.
    let mut text = "lorem ipsum ".repeat(60_000);
    for at in [262_144, 524_288] {
        text.replace_range(at - 10..at + 12, " jane.d@example.org is");
    }
    let findings = scrubber().scan(&text).findings;
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(
        findings
            .iter()
            .all(|finding| &text[finding.span.clone()] == "jane.d@example.org")
    );
}

#[test]
fn each_policy_does_what_it_says() {
    let text = "Mail jane@example.org or JANE@EXAMPLE.ORG, card 4111111111111111.";
    let with = |action| Scrubber::new(Policy::all(action), Salt::from_bytes([7; 32])).scrub(text);
    assert_eq!(with(Action::Remove).unwrap().text, "Mail  or , card .");
    assert_eq!(
        with(Action::Mask).unwrap().text,
        "Mail [email] or [email], card [card]."
    );
    assert_eq!(with(Action::Keep).unwrap().text, text);
    assert_eq!(
        with(Action::Refuse),
        Err(ScrubError::Refused {
            kind: Kind::Email,
            label: "e-mail",
            confidence: 95,
            at: 5
        })
    );
    let hashed = with(Action::Hash).unwrap().text;
    // Computed with Python: hmac.new(b"\7" * 32, b"email\0janeexampleorg", "sha256").
    assert_eq!(
        hashed.matches("[email:eoehldlffpdcgcph]").count(),
        2,
        "{hashed}"
    );
    let other = Scrubber::new(Policy::all(Action::Hash), Salt::from_bytes([8; 32]))
        .scrub(text)
        .unwrap()
        .text;
    assert_ne!(hashed, other);
    assert_eq!(
        alloc::format!("{:?}", Salt::from_bytes([7; 32])),
        "Salt(secret)"
    );
}

#[test]
fn json_is_scrubbed_with_its_keys_as_context() {
    let value = serde_json::json!({
        "owner": {"email": "jane@example.org", "phoneNumber": 2125550123u64, "steps": 2125550123u64},
        "jane@example.org": [1.5, true, null, "fine"],
        "layers": ["dense", "4111 1111 1111 1111"],
    });
    let scrubbed = scrubber().scrub_json(&value).unwrap();
    assert_eq!(
        scrubbed.value,
        serde_json::json!({
            "owner": {"email": "[email]", "phoneNumber": "[phone]", "steps": 2125550123u64},
            "[email]": [1.5, true, null, "fine"],
            "layers": ["dense", "[card]"],
        })
    );
    let places: Vec<_> = scrubbed
        .findings
        .iter()
        .map(|f| (f.pointer.as_str(), f.is_key, f.finding.span.clone()))
        .collect();
    assert!(
        places.contains(&("/owner/email", false, 0..16)),
        "{places:?}"
    );
    assert!(places.contains(&("/[email]", true, 0..16)), "{places:?}");
    let mut deep = serde_json::json!(1);
    for _ in 0..MAX_DEPTH + 1 {
        deep = serde_json::json!([deep]);
    }
    assert_eq!(
        scrubber().scrub_json(&deep).map(|_| ()),
        Err(ScrubError::TooDeep { got: 129, max: 128 })
    );
}

#[test]
fn a_finding_in_a_key_does_not_hide_what_the_key_says_of_its_value() {
    let value = serde_json::json!({"date of birth of ada@example.org": "1980-02-03"});
    let scrubbed = scrubber().scrub_json(&value).unwrap();
    let left = serde_json::json!({"date of birth of [email]": "[birth_date]"});
    assert_eq!(scrubbed.value, left);
    let spans: Vec<_> = (scrubbed.findings.iter())
        .map(|found| (found.is_key, found.finding.kind, found.finding.span.clone()))
        .collect();
    assert_eq!(
        spans,
        [(true, Kind::Email, 17..32), (false, Kind::BirthDate, 0..10)]
    );
}

#[test]
fn a_field_of_a_draft_is_read_as_a_field_of_json() {
    let scrubber = scrubber();
    for (name, text, left) in [
        ("date_of_birth", "1980-02-03", "[birth_date]"),
        ("passport", "X1234567", "[document]"),
        ("phone", "2125550123", "[phone]"),
        ("password", "hunter2hunter2", "[secret]"),
    ] {
        assert_eq!(scrubber.clean(None, text).findings, 0, "{text} alone");
        let clean = scrubber.clean(Some(name), text);
        assert_eq!((clean.text.as_str(), clean.findings), (left, 1), "{name}");
        let json = scrubber
            .scrub_json(&serde_json::json!({name: text}))
            .unwrap();
        assert_eq!(json.value, serde_json::json!({name: left}));
        // Nothing is found again.
        assert_eq!(scrubber.clean(Some(name), left).findings, 0, "{name}");
    }
}

#[test]
fn of_a_finding_that_begins_in_the_key_the_part_in_the_value_is_taken_out() {
    let value = "-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----";
    let clean = scrubber().clean(Some("-----BEGIN PRIVATE KEY"), value);
    assert_eq!((clean.text.as_str(), clean.findings), ("[private_key]", 1));
}

#[test]
fn a_forbidden_text_counts_as_a_finding() {
    let scrubber = Scrubber::new(Policy::all(Action::Refuse), Salt::from_bytes([7; 32]));
    let clean = scrubber.clean(None, "jane@example.org");
    assert_eq!((clean.findings, clean.is_forbidden), (1, true));
}
