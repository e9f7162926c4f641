//! `cargo xtask dist`: what is shipped, in `dist/`.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::page::{self, Profile};
use crate::process;

/// Builds the stripped relay with the page embedded, and the npm package; prints the page's weight.
///
/// # Errors
/// When something does not build, or the page weighs more than [`page::MAX_START`], [`page::MAX_SHARE`] or
/// [`page::MAX_ENGRAM`].
pub(crate) fn run() -> Result<ExitCode> {
    let page = page::build(Profile::Release)?;
    let dist = process::root().join("dist");
    page::remove_dir(&dist)?;
    fs::create_dir_all(&dist)?;

    let weight = page::weigh(&page)?;
    relay(&page, &dist)?;
    npm_package(&page, &dist.join("npm"))?;

    print!("{weight}");
    weight.check()?;
    Ok(ExitCode::SUCCESS)
}

/// Puts the relay with `page` embedded into `dist`.
fn relay(page: &Path, dist: &Path) -> Result<()> {
    // Stripped by an argument to the last compiler call alone: a changed profile would compile every crate again.
    let args = [
        "rustc",
        "--release",
        "--package=chorus-relay",
        "--bin=chorus-relay",
        "--features=embed",
        "--",
        "-Cstrip=symbols",
    ];
    process::run(process::cargo(args).env(page::DIR_ENV, page))?;
    let name = format!("chorus-relay{}", std::env::consts::EXE_SUFFIX);
    let relay = dist.join(&name);
    fs::copy(process::target().join("release").join(&name), &relay)?;
    println!(
        "{:>9.1} MB  {}",
        fs::metadata(&relay)?.len() as f64 / 1e6,
        relay.display()
    );
    Ok(())
}

/// The files of the page that are in the npm package: the module, the widget, their declarations, and what they load.
const PACKAGED: [&str; 21] = [
    "chorus.js",
    "chorus.d.ts",
    "widget.js",
    "widget.d.ts",
    "style.css",
    "chorus_web.js",
    "chorus_web_bg.wasm",
    "privacy.js",
    "privacy-worker.js",
    "dialog.js",
    "sheet.js",
    "dialog.css",
    "chorus_privacy.js",
    "chorus_privacy_bg.wasm",
    "studio.js",
    "studio.css",
    "engram.js",
    "engram.d.ts",
    "engram-worker.js",
    "chorus_engram.js",
    "chorus_engram_bg.wasm",
];

/// Puts the npm package into `dir`.
///
/// # Errors
/// When a file is missing, or loads one that is not in the package.
fn npm_package(page: &Path, dir: &Path) -> Result<()> {
    fs::create_dir_all(dir)?;
    for file in PACKAGED {
        fs::copy(page.join(file), dir.join(file))
            .with_context(|| format!("the page has no {file}"))?;
    }
    if page.join("snippets").is_dir() {
        page::copy_dir(&page.join("snippets"), &dir.join("snippets"))?;
    }
    for file in ["LICENSE-APACHE", "LICENSE-MIT"] {
        fs::copy(process::root().join(file), dir.join(file))?;
    }
    for file in PACKAGED.iter().filter(|file| is_text(file)) {
        let text = fs::read_to_string(dir.join(file))?;
        if let Some(loaded) = (loads(&text).iter()).find(|loaded| !dir.join(loaded).is_file()) {
            bail!("{file} loads {loaded}, which is not in the npm package");
        }
    }
    let package = json!({
        "name": "chorus-mesh",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Join a Chorus mesh from a web page: learn from the other tabs, share with them.",
        "license": "Apache-2.0 OR MIT",
        "type": "module",
        "main": "chorus.js",
        "types": "chorus.d.ts",
        "exports": {
            ".": { "types": "./chorus.d.ts", "default": "./chorus.js" },
            "./engram.js": { "types": "./engram.d.ts", "default": "./engram.js" },
            "./widget.js": { "types": "./widget.d.ts", "default": "./widget.js" },
            "./chorus_web_bg.wasm": "./chorus_web_bg.wasm",
            "./chorus_privacy_bg.wasm": "./chorus_privacy_bg.wasm",
            "./chorus_engram_bg.wasm": "./chorus_engram_bg.wasm",
            "./style.css": "./style.css",
        },
        "sideEffects": ["./widget.js"],
    });
    fs::write(
        dir.join("package.json"),
        serde_json::to_string_pretty(&package)? + "\n",
    )?;
    println!("           {}", dir.display());
    Ok(())
}

/// Whether the file may name others that it loads.
fn is_text(file: &str) -> bool {
    [".js", ".ts", ".css"].iter().any(|end| file.ends_with(end))
}

/// Returns the files beside itself that a script, a declaration or a style loads: what it imports by a relative path,
/// `new URL('…', import.meta.url)`, and `url('…')` of a style.
fn loads(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (before, is_url) in [
        ("from ", false),
        ("import ", false),
        ("import(", false),
        ("@import ", false),
        ("new URL(", true),
        (" url(", true),
    ] {
        for rest in text.split(before).skip(1) {
            let Some(quote @ ('\'' | '"')) = rest.chars().next() else {
                continue;
            };
            let Some((name, after)) = rest[1..].split_once(quote) else {
                continue;
            };
            // A bare name is another package's, and `.` is where the script itself is.
            let is_beside = if is_url {
                (after.starts_with(", import.meta.url") || before == " url(")
                    && ![".", "./"].contains(&name)
                    && !name.contains(':')
            } else {
                name.starts_with("./")
            };
            if is_beside {
                found.push(name.trim_start_matches("./").to_owned());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_packaged_file_loads_is_in_the_package() {
        let www = process::root().join("www");
        let mut seen = Vec::new();
        for file in PACKAGED.iter().filter(|file| is_text(file)) {
            // What wasm-bindgen writes is looked at when the package is made.
            if file.starts_with("chorus_") {
                continue;
            }
            let text = fs::read_to_string(www.join(file)).unwrap();
            for loaded in loads(&text) {
                assert!(
                    PACKAGED.contains(&&*loaded),
                    "{file} loads {loaded}, which is not in the npm package"
                );
                seen.push(loaded);
            }
        }
        for known in [
            "chorus_web.js",
            "chorus_privacy_bg.wasm",
            "dialog.css",
            "engram-worker.js",
            "chorus_engram_bg.wasm",
        ] {
            assert!(seen.iter().any(|name| name == known), "{known} is found");
        }
    }

    #[test]
    fn what_a_file_loads_is_found_however_it_is_written() {
        let text = r#"
            import { a } from './a.js'
            import "./b.js"
            const c = await import('./c/d.js')
            fetch(new URL('e.css', import.meta.url))
            new URL('.', import.meta.url); new URL('f.js', relay); import g from 'g'; import('https://h.example/h.js')
            p { background: url("i.svg") } q { background: url('data:image/png;base64,') }
        "#;
        assert_eq!(loads(text), ["a.js", "b.js", "c/d.js", "e.css", "i.svg"]);
    }
}
