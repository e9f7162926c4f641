//! One button to share a file, and the files that others share.

use std::rc::Rc;

use wasm_bindgen::JsCast;
use web_sys::{DragEvent, Element, Event, HtmlElement, HtmlInputElement, MouseEvent};
use yew::{Callback, Html, Properties, TargetCast, classes, component, html, use_state};

use crate::ui::Controls;
use crate::view::{
    format,
    state::{FileRow, FileStage},
};

#[derive(Properties, PartialEq)]
pub(crate) struct FilesProps {
    pub(crate) files: Rc<Vec<FileRow>>,
    pub(crate) controls: Option<Controls>,
    #[prop_or("span-6")]
    pub(crate) span: &'static str,
}

/// The button, which is also a place to drop files on, and the list.
#[component]
pub(crate) fn Files(props: &FilesProps) -> Html {
    let is_over = use_state(|| false);
    let onchange = {
        let controls = props.controls.clone();
        Callback::from(move |event: Event| {
            let Some(input) = event.target_dyn_into::<HtmlInputElement>() else {
                return;
            };
            if let (Some(controls), Some(file)) =
                (&controls, input.files().and_then(|files| files.get(0)))
            {
                controls.share(file);
            }
            // The same file can be chosen again.
            input.set_value("");
        })
    };
    let ondragover = {
        let is_over = is_over.clone();
        Callback::from(move |event: DragEvent| {
            event.prevent_default();
            is_over.set(true);
        })
    };
    let ondragleave = {
        let is_over = is_over.clone();
        Callback::from(move |_: DragEvent| is_over.set(false))
    };
    let ondrop = {
        let (controls, is_over) = (props.controls.clone(), is_over.clone());
        Callback::from(move |event: DragEvent| {
            event.prevent_default();
            is_over.set(false);
            let files = event.data_transfer().and_then(|data| data.files());
            if let (Some(controls), Some(file)) = (&controls, files.and_then(|files| files.get(0)))
            {
                controls.share(file);
            }
        })
    };
    let row = |file: &FileRow| row(file, props.controls.as_ref());
    html! {
        <section class={classes!("card", props.span)} aria-labelledby="files-title">
            <header>
                <h2 id="files-title">{ "Files" }</h2>
                <span class="aside">{ ledger(props.controls.as_ref()) }</span>
            </header>
            <div class={classes!("drop", is_over.then_some("over"))} {ondragover} {ondragleave} {ondrop}>
                <label class="button primary pick">
                    <input type="file" class="hidden" {onchange} disabled={props.controls.is_none()} />
                    { "Share a file" }
                </label>
                <span class="note">{ "Up to 10 MB, or a model (.safetensors) that is packed first. You see what would leave, and say who may read it, before it does." }</span>
            </div>
            if props.files.is_empty() {
                <p class="empty">{ "Files that you or the others share appear here. They travel from tab to tab, checked piece by piece." }</p>
            } else {
                <div class="scroll" tabindex="0" role="region" aria-label="Files, newest first">
                    <ul class="rows files">{ for props.files.iter().map(row) }</ul>
                </div>
            }
        </section>
    }
}

fn ledger(controls: Option<&Controls>) -> Html {
    let Some(controls) = controls.cloned() else {
        return Html::default();
    };
    let onclick = Callback::from(move |_| controls.ledger());
    html! {
        <button type="button" class="button small" {onclick} data-action="ledger">{ "What left this tab" }</button>
    }
}

fn row(file: &FileRow, controls: Option<&Controls>) -> Html {
    let from = format!(
        "{} · from {}",
        format::size(file.size),
        format::short(&file.author)
    );
    let words = match &file.stage {
        FileStage::Own => format!("{} · shared by you", format::size(file.size)),
        FileStage::Offered | FileStage::Ready(_) => from,
        FileStage::Fetching(received) => {
            format!("{} of {}", format::size(*received), format::size(file.size))
        }
        FileStage::Failed(why) => why.to_string(),
    };
    let is_failed = matches!(file.stage, FileStage::Failed(_));
    let is_ready = matches!(file.stage, FileStage::Ready(_));
    html! {
        <li key={&*file.cid} class="arrive" tabindex="-1" data-cid={file.cid.to_string()} data-size={file.size.to_string()}
            data-state={file.stage.as_str()} data-name={file.name.to_string()}>
            <div>
                <div class="name" title={file.name.to_string()}>{ file.name.to_string() }</div>
                <div class={classes!("sub", is_failed.then_some("error"))} role={is_failed.then_some("alert")}>{ words }</div>
                <span class="hidden" role="status">if is_ready { { format!("{} can be saved", file.name) } }</span>
            </div>
            { action(file, controls) }
            if let FileStage::Fetching(received) = file.stage {
                <div class="progress" role="progressbar" aria-label={format!("Fetching {}", file.name)}
                    aria-valuemin="0" aria-valuemax={file.size.to_string()} aria-valuenow={received.to_string()}>
                    <svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
                        <rect height="6" width={(received as f64 / file.size.max(1) as f64 * 100.0).to_string()} />
                    </svg>
                </div>
            }
        </li>
    }
}

fn action(file: &FileRow, controls: Option<&Controls>) -> Html {
    match &file.stage {
        FileStage::Own | FileStage::Fetching(_) => html! { <span></span> },
        FileStage::Ready(link) => html! {
            <span class="buttons">
                if file.is_engram { { open(file, controls) } }
                <a class="button small primary" href={link.url.clone()} download={file.name.to_string()}>
                    { "Save" }<span class="hidden">{ " " }{ file.name.to_string() }</span>
                </a>
            </span>
        },
        FileStage::Offered | FileStage::Failed(_) => {
            let word = if file.stage == FileStage::Offered {
                "Download"
            } else {
                "Try again"
            };
            let (controls, cid) = (controls.cloned(), file.cid.clone());
            let onclick = Callback::from(move |event: MouseEvent| {
                // The button goes: who uses the keyboard goes on from its row.
                let button = event.target_dyn_into::<Element>();
                let row = button.and_then(|button| button.closest("li").ok().flatten());
                if let Some(row) = row.and_then(|row| row.dyn_into::<HtmlElement>().ok()) {
                    let _ = row.focus();
                }
                if let Some(controls) = &controls {
                    controls.fetch(&cid);
                }
            });
            html! {
                <button type="button" class="button small" {onclick} data-action="fetch">
                    { word }<span class="hidden">{ " " }{ file.name.to_string() }</span>
                </button>
            }
        }
    }
}

fn open(file: &FileRow, controls: Option<&Controls>) -> Html {
    let (controls, cid) = (controls.cloned(), file.cid.clone());
    let onclick = Callback::from(move |_| {
        if let Some(controls) = &controls {
            controls.engram(&cid);
        }
    });
    html! { <button type="button" class="button small" {onclick} data-action="engram">{ "Open" }</button> }
}
