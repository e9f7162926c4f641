//! `cargo xtask dist`: what is shipped, in `dist/`.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::json;

use crate::page::{self, Profile};
use crate::process;

/// Builds the stripped relay with the page embedded, and the npm package; prints the page's weight.
///
/// # Errors
/// When something does not build, or the page weighs more than [`page::MAX_START`] or [`page::MAX_SHARE`].
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

/// Puts the npm package into `dir`: the module, the widget, their declarations, and the style and wasm they load.
fn npm_package(page: &Path, dir: &Path) -> Result<()> {
    const FILES: [&str; 10] = [
        "chorus.js",
        "chorus.d.ts",
        "widget.js",
        "widget.d.ts",
        "style.css",
        "chorus_web.js",
        "chorus_web_bg.wasm",
        "privacy.js",
        "chorus_privacy.js",
        "chorus_privacy_bg.wasm",
    ];
    fs::create_dir_all(dir)?;
    for file in FILES {
        fs::copy(page.join(file), dir.join(file))
            .with_context(|| format!("the page has no {file}"))?;
    }
    if page.join("snippets").is_dir() {
        page::copy_dir(&page.join("snippets"), &dir.join("snippets"))?;
    }
    for file in ["LICENSE-APACHE", "LICENSE-MIT"] {
        fs::copy(process::root().join(file), dir.join(file))?;
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
            "./widget.js": { "types": "./widget.d.ts", "default": "./widget.js" },
            "./chorus_web_bg.wasm": "./chorus_web_bg.wasm",
            "./chorus_privacy_bg.wasm": "./chorus_privacy_bg.wasm",
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
