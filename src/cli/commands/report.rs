//! `cinetomo report`: a model measured on labelled boxes, as one page that needs nothing else.

mod beside;
mod doubts;
mod findings;
mod history;
mod map;
mod numbers;
mod overlap;
mod page;
mod plots;

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use self::{beside::Other, doubts::doubts, findings::Findings};
use super::evaluate::number;
use crate::{
    args::Global,
    boxes::BoxArgs,
    console::Console,
    failure::{Failure, Result},
    outputs,
    run_file::RunFile,
    session::Session,
    truth::{LabelArgs, Labelled},
};

const EXAMPLES: &str = "\
The page has accuracies with their uncertainty, what to doubt in them, the curves of the training, the confusion matrix, ROC
curves, calibration, a map of the embeddings, and slices of boxes with what the network looks at. It is one file without
scripts that any browser shows, offline and on paper. Measure on boxes that the model was not trained on.

Examples:
  cinetomo report -m tuned.safetensors -i test.mrc --labels test.csv --contrast dark -o report.html
  cinetomo report -m tuned.safetensors --labels test.csv -o report.html
  cinetomo report -m video.safetensors --beside random.safetensors init.safetensors --labels test.csv -o report.html
  cinetomo report -m tuned.safetensors -i expert.star -o report.html --json | jq .doubts";

/// Reports on a model.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Report {
    /// The model
    #[arg(long, short, value_name = "FILE.safetensors")]
    model: PathBuf,
    /// Other models of the same classes, to stand beside it: curves, accuracies and maps of the embeddings. One that was
    /// never fine-tuned (`cinetomo init`) shows what video weights know before
    #[arg(long, value_name = "FILE.safetensors", num_args = 1..)]
    beside: Vec<PathBuf>,
    #[command(flatten)]
    boxes: BoxArgs,
    #[command(flatten)]
    labels: LabelArgs,
    /// The page
    #[arg(long, short, value_name = "FILE.html")]
    output: PathBuf,
}

impl Report {
    pub fn run(&self, global: &Global, console: &Console, run_file: &RunFile) -> Result<()> {
        if !["html", "htm"].contains(&outputs::extension(&self.output).as_str()) {
            let path = self.output.display();
            return Err(Failure::Usage(format!("--output {path}: expected a .html")));
        }
        outputs::check([self.output.as_path()], global.force)?;
        let session = Session::start(global, console)?;
        let model = session.context.model_load(&self.model)?;
        let class_names = model.info()?.class_names;
        let data = Labelled::open_to_measure(&self.boxes, &self.labels, &class_names, console)?;
        let findings = Findings::of(&session, &model, &self.model, &self.beside, &data)?;
        let doubts = doubts(&findings);
        let page = page::page(&findings, &doubts)?;
        cinetomo_formats::write(&self.output, page.as_bytes())?;
        run_file.write(&self.output)?;

        let found = &findings.evaluation;
        let mut text = format!(
            "{} boxes with a label: accuracy {:.4}, balanced accuracy {:.4}, macro AUC {:.4}\n",
            found.n_evaluated, found.accuracy, found.balanced_accuracy, found.macro_auc
        );
        for doubt in doubts.iter().filter(|doubt| doubt.is_serious) {
            text += &format!("doubt: {}\n", doubt.title);
        }
        text += &format!("{}: the report\n", self.output.display());
        let json = json!({
            "output": self.output,
            "n": found.n_evaluated,
            "n_of_unknown_classes": findings.n_of_unknown,
            "accuracy": found.accuracy,
            "balanced_accuracy": number(found.balanced_accuracy),
            "macro_auc": number(found.macro_auc),
            "expected_calibration_error": number(found.expected_calibration_error),
            "beside": findings.others.iter().map(beside).collect::<Vec<_>>(),
            "doubts": doubts.iter().map(|doubt| json!({
                "title": doubt.title, "text": doubt.text, "is_serious": doubt.is_serious,
            })).collect::<Vec<_>>(),
        });
        console.result(&text, &json)
    }
}

fn beside(other: &Other) -> Value {
    let evaluation = other.evaluation.as_ref();
    json!({
        "model": other.name,
        "accuracy": evaluation.map(|found| found.accuracy),
        "macro_auc": evaluation.map(|found| number(found.macro_auc)),
        "knn_accuracy": other.map.as_ref().map(|map| number(map.separation.knn_accuracy)),
        "silhouette": other.map.as_ref().map(|map| number(map.separation.silhouette)),
    })
}
