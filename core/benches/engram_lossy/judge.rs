//! The process that measures losses: `tests/bench/engram-lossy/judge.py`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::{BASE, File, Result};

/// Answers questions until it is dropped.
pub(crate) struct Judge {
    process: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    out: PathBuf,
    bases: BTreeMap<&'static str, Losses>,
}

/// Losses on the parts of a set, all of one size.
pub(crate) type Losses = Vec<f64>;

/// Returns the mean.
pub(crate) fn mean(losses: &[f64]) -> f64 {
    losses.iter().sum::<f64>() / losses.len().max(1) as f64
}

/// Which loss is asked for.
pub(crate) struct Question<'a> {
    /// The file that the numbers are like.
    pub(crate) like: &'a str,
    /// The file that they are added to.
    pub(crate) on: Option<&'static str>,
    /// `tune` or `report`.
    pub(crate) set: &'a str,
    /// The first so many windows; 0 is all.
    pub(crate) windows: usize,
}

impl Judge {
    pub(crate) fn start(python: &Path, script: &Path, weights: &Path, out: &Path) -> Result<Self> {
        let mut process = Command::new(python)
            .arg(script)
            .arg(weights)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let questions = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().ok_or("no answers")?);
        Ok(Self {
            process,
            questions,
            answers,
            out: out.to_path_buf(),
            bases: BTreeMap::new(),
        })
    }

    /// Returns the losses of the base alone.
    pub(crate) fn base(&mut self, set: &'static str) -> Result<Losses> {
        if let Some(known) = self.bases.get(set) {
            return Ok(known.clone());
        }
        let question = json!({"op": "loss", "set": set, "windows": 0, "parts": PARTS, "on": BASE, "like": BASE, "file": null});
        let losses = numbers(&self.ask(&question)?)?;
        self.bases.insert(set, losses.clone());
        Ok(losses)
    }

    /// Returns the losses of the base with `values` added.
    pub(crate) fn losses(&mut self, file: &File, set: &str, values: &[Vec<f32>]) -> Result<Losses> {
        let question = Question {
            like: &file.name,
            on: Some(BASE),
            set,
            windows: 0,
        };
        self.ask_losses(&question, PARTS, values)
    }

    pub(crate) fn ask_losses(
        &mut self,
        question: &Question<'_>,
        parts: usize,
        values: &[Vec<f32>],
    ) -> Result<Losses> {
        let file = self.out.join("numbers.f32");
        let bytes: Vec<u8> = values
            .iter()
            .flatten()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        fs::write(&file, bytes)?;
        let Question {
            like,
            on,
            set,
            windows,
        } = question;
        let question = json!({"op": "loss", "set": set, "windows": windows, "parts": parts, "on": on, "like": like, "file": file});
        numbers(&self.ask(&question)?)
    }

    /// Codes with nncodec: bytes, and what comes back.
    pub(crate) fn nncodec(&mut self, like: &File, qp: i32) -> Result<(usize, Vec<Vec<f32>>)> {
        let file = self.out.join("nncodec.f32");
        let bytes =
            self.ask(&json!({"op": "nncodec", "like": like.name, "qp": qp, "file": file}))?;
        let read = fs::read(&file)?;
        let mut numbers = read
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes));
        let decoded = like
            .values
            .iter()
            .map(|values| numbers.by_ref().take(values.len()).collect())
            .collect();
        Ok((number(&bytes)? as usize, decoded))
    }

    pub(crate) fn draw(
        &mut self,
        name: &str,
        title: &str,
        y: &str,
        least: f64,
        lines: &BTreeMap<&'static str, Vec<[f64; 2]>>,
    ) -> Result<()> {
        let file = self.out.join(name);
        fs::write(
            file.with_extension("json"),
            serde_json::to_vec_pretty(lines)?,
        )?;
        let drawing = json!({"op": "draw", "file": file, "title": title, "x": "bits a number", "y": y, "least": least, "lines": lines});
        self.ask(&drawing)?;
        eprintln!("drawn: {}", file.display());
        Ok(())
    }

    fn ask(&mut self, question: &Value) -> Result<Value> {
        let questions = self.questions.as_mut().ok_or("no questions")?;
        writeln!(questions, "{question}")?;
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err("the judge ended".into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        // It ends with its questions.
        drop(self.questions.take());
        let _ = self.process.wait();
    }
}

fn number(value: &Value) -> Result<f64> {
    value
        .as_f64()
        .ok_or_else(|| format!("no number: {value}").into())
}

fn numbers(value: &Value) -> Result<Losses> {
    let numbers = value
        .as_array()
        .ok_or_else(|| format!("no list: {value}"))?;
    numbers.iter().map(number).collect()
}

/// Parts of a set whose losses tell how sure their mean is. Guess: 16 windows each.
pub(crate) const PARTS: usize = 16;
