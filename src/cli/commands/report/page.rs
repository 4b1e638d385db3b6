//! The page of a report: what was found, as HTML. Every text from files goes through maud, which escapes it.

use base64::{Engine, prelude::BASE64_STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

use super::{
    beside::{self, Entry},
    doubts::{Doubt, interval},
    findings::{Example, Findings},
    history,
    numbers::{NONE, decimal, percent},
    plots,
};
use crate::{failure::Result, slices::Image};

const STYLE: &str = include_str!("style.css");

/// The whole page.
///
/// # Errors
/// A picture cannot be made.
pub fn page(findings: &Findings, doubts: &[Doubt]) -> Result<String> {
    let name = findings.name();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (name) " – cinetomo report" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    header {
                        h1 { (name) }
                        p.lead { (lead(findings)) }
                    }
                    (tiles(findings))
                    div.cards {
                        (doubt_list(doubts))
                        (confusion(findings))
                        (classes(findings))
                        (map(findings)?)
                        (roc(findings)?)
                        (reliability(findings)?)
                        (examples(findings)?)
                        (training(findings)?)
                        (beside(findings)?)
                        (settings(findings))
                    }
                    footer {
                        "Made by cinetomo " (env!("CARGO_PKG_VERSION")) ". Every number can be had from "
                        code { "cinetomo classify" } " and " code { "cinetomo evaluate" } "."
                    }
                }
            }
        }
    };
    Ok(page.into_string())
}

fn lead(findings: &Findings) -> String {
    let start = match findings.info.checkpoint_sha256.is_empty() {
        true => "random numbers",
        false => "video weights",
    };
    let tuned = match history::trainings(&findings.metadata).last() {
        None => "never fine-tuned".to_owned(),
        Some(training) => {
            format!("fine-tuned on {} labelled subtomograms", training["n_subtomograms"])
        }
    };
    format!(
        "A network ({}) that started from {start}, {tuned}; here asked for the class of {} others whose class is known: \
         {} classes, so that guessing is right for {}.",
        findings.info.backbone,
        findings.evaluation.n_evaluated,
        findings.info.class_names.len(),
        percent(1.0 / findings.info.class_names.len().max(1) as f64)
    )
}

fn tiles(findings: &Findings) -> Markup {
    let found = &findings.evaluation;
    let n = found.n_evaluated;
    let [low, high] = interval(found.accuracy, n as f64);
    let range = format!("{} to {} (95 %)", percent(low), percent(high));
    let tiles = [
        (percent(found.accuracy), "accuracy", range.as_str()),
        (percent(found.balanced_accuracy), "balanced accuracy", "mean recall of the classes"),
        (decimal(found.macro_auc, 3), "macro AUC", "1 = perfect, 0.5 = chance"),
        (
            decimal(found.expected_calibration_error, 3),
            "calibration error",
            "expected; 0 = perfect",
        ),
        (n.to_string(), "subtomograms", "measured on"),
    ];
    html! {
        section.tiles aria-label="Headline" {
            @for (value, name, note) in &tiles {
                div.tile { b { (value) } span { (name) } small { (note) } }
            }
        }
    }
}

fn doubt_list(doubts: &[Doubt]) -> Markup {
    html! {
        section.card.wide #doubts {
            h2 { "What to doubt" }
            ul.doubts {
                @for doubt in doubts {
                    li.serious[doubt.is_serious] { b { (doubt.title) } (doubt.text) }
                }
            }
        }
    }
}

fn confusion(findings: &Findings) -> Markup {
    let names = &findings.info.class_names;
    let rows = findings.evaluation.confusion.chunks(names.len().max(1));
    html! {
        section.card #confusion {
            h2 { "Confusion matrix" }
            p.faint { "Rows: the true class. Columns: what it was taken for. Shades: shares of the row." }
            div.scroll {
                table.confusion {
                    thead { tr { th {} @for number in 1..=names.len() { th scope="col" { "C" (number) } } } }
                    tbody {
                        @for (class, (name, row)) in names.iter().zip(rows).enumerate() {
                            @let sum = row.iter().sum::<i64>().max(1) as f64;
                            tr {
                                th scope="row" { "C" (class + 1) " " (name) }
                                @for (other, &n) in row.iter().enumerate() {
                                    @let share = n as f64 / sum;
                                    td.right[other == class].deep[share > 0.55].none[n == 0]
                                        style={ "--p:" (format!("{:.0}", 100.0 * share)) "%" } { (n) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn classes(findings: &Findings) -> Markup {
    html! {
        section.card #classes {
            h2 { "Each class" }
            p.faint { "Precision: how many of those called so are so. Recall: how many are found." }
            div.scroll {
                table {
                    thead {
                        tr {
                            th {}
                            @for name in ["boxes", "precision", "recall", "F1", "AUC"] { th scope="col" { (name) } }
                        }
                    }
                    tbody {
                        @for (name, class) in findings.info.class_names.iter().zip(&findings.classes) {
                            tr {
                                th scope="row" { (name) }
                                td { (class.n_examples) }
                                @for value in [class.precision, class.recall, class.f1, class.auc] {
                                    td { (decimal(value, 2)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn map(findings: &Findings) -> Result<Markup> {
    let Some(map) = &findings.map else {
        return Ok(html! {
            section.card.wide #map {
                h2 { "Map of the embeddings" }
                p { "Too few boxes for a map." }
            }
        });
    };
    let separation = &map.separation;
    let n_wrong = map.is_right.iter().filter(|&&is_right| !is_right).count();
    Ok(html! {
        section.card.wide #map {
            h2 { "Map of the embeddings" }
            p.faint {
                "What the network makes of each box, in the plane (t-SNE): neighbours lie together; distances between groups and \
                 the axes mean nothing. A ring marks the " (n_wrong) " of " (map.labels.len()) " that are classified wrongly."
            }
            div.split {
                figure.map { (PreEscaped(plots::map(map, findings.info.class_names.len())?)) }
                div.aside {
                    ul.legend.list {
                        @for (class, name) in findings.info.class_names.iter().enumerate() {
                            li { b class={ "k" (plots::color_index(class)) } { "C" (class + 1) } (name) }
                        }
                    }
                    p {
                        b { (percent(separation.knn_accuracy)) }
                        "are of the class that most of their five nearest neighbours have"
                    }
                    p {
                        b { (decimal(separation.silhouette, 2)) }
                        "silhouette: 1 = classes far apart, 0 = touching, below = mixed"
                    }
                    p.faint { "Both are measured in the " (map.n_features) " dimensions before the map." }
                }
            }
        }
    })
}

fn roc(findings: &Findings) -> Result<Markup> {
    let names = findings.info.class_names.iter().zip(&findings.classes).enumerate();
    let shown = names.filter(|(class, _)| !findings.roc[*class].is_empty());
    Ok(html! {
        section.card #roc {
            h2 { "ROC curves" }
            p.faint { "Each class against the rest, with the area under its curve." }
            figure { (PreEscaped(plots::roc(findings)?)) }
            ul.legend {
                @for (class, (name, metrics)) in shown {
                    li {
                        i class={ "k" (plots::color_index(class)) @if class >= 7 { " dashed" } } {}
                        (name) " " span.faint { (decimal(metrics.auc, 2)) }
                    }
                }
            }
        }
    })
}

fn reliability(findings: &Findings) -> Result<Markup> {
    let confidence = &findings.confidence;
    let error = findings.evaluation.expected_calibration_error;
    Ok(html! {
        section.card #reliability {
            h2 { "Are the probabilities true?" }
            p.faint {
                "Boxes by the probability of their class; larger circles are more boxes. On the diagonal probabilities come true, \
                 below it the network is too sure."
            }
            figure { (PreEscaped(plots::reliability(findings)?)) }
            p {
                @if error.is_nan() { "No calibration error can be given. " }
                @else { "Expected calibration error " b { (decimal(error, 3)) } ". " }
                @if confidence.n_calibration > 0 {
                    "Calibrated on " (confidence.n_calibration) " boxes: temperature " (format!("{:.2}", confidence.temperature)) "."
                } @else { "Not calibrated." }
            }
        }
    })
}

fn examples(findings: &Findings) -> Result<Markup> {
    let shown: Vec<Markup> = findings
        .examples
        .iter()
        .map(|example| self::example(findings, example))
        .collect::<Result<_>>()?;
    Ok(html! {
        section.card.wide #examples {
            h2 { "What the network looks at" }
            p.faint {
                "Of each class the box that is recognised most surely, and the one that is mistaken most surely: slices across \
                 z, y and x (means of the middle sixth of the box), above as they are, below with the evidence for the class \
                 that was found (Grad-CAM) in orange. Evidence should lie on the particle."
            }
            div.examples { @for example in &shown { (example) } }
        }
    })
}

fn example(findings: &Findings, example: &Example) -> Result<Markup> {
    let names = &findings.info.class_names;
    let is_right = example.label == example.class;
    let pictures = |what: &str, images: &[Image; 3]| -> Result<Markup> {
        let sources: Vec<String> = images.iter().map(data_uri).collect::<Result<_>>()?;
        Ok(html! {
            div.slices {
                @for ((axis, image), source) in ["z", "y", "x"].iter().zip(images).zip(&sources) {
                    img src=(source) width=(image.width()) height=(image.height())
                        alt={ "slice across " (axis) ", " (what) };
                }
            }
        })
    };
    Ok(html! {
        figure {
            h3 {
                (names[example.label])
                @if !is_right { " " span.wrong { "taken for " (names[example.class]) } }
            }
            (pictures("as it is", &example.slices)?)
            (pictures("with the evidence", &example.explained)?)
            figcaption.name { "probability " (format!("{:.2}", example.probability)) ", " (example.name) }
        }
    })
}

fn data_uri(image: &Image) -> Result<String> {
    Ok(format!("data:image/png;base64,{}", BASE64_STANDARD.encode(image.png()?)))
}

fn training(findings: &Findings) -> Result<Markup> {
    let trainings = history::trainings(&findings.metadata);
    let curves = plots::training(history::epochs(&findings.metadata))?;
    Ok(html! {
        section.card.wide #training {
            h2 { "Training" }
            @if curves.is_empty() {
                p.faint { "No epochs were trained: there are no curves." }
            } @else {
                p.faint { "Loss (cross-entropy, nats) and accuracy after each epoch of the last training." }
                div.pair { @for (title, svg) in &curves { figure aria-label=(title) { (PreEscaped(svg)) } } }
            }
            @if !trainings.is_empty() {
                div.scroll {
                    table {
                        thead {
                            tr {
                                th {}
                                @for name in ["labels", "a class", "epochs", "chosen", "last loss", "probe"] {
                                    th scope="col" { (name) }
                                }
                            }
                        }
                        tbody { @for (index, training) in trainings.iter().enumerate() { (training_row(index, training)) } }
                    }
                }
            }
        }
    })
}

fn training_row(index: usize, training: &Value) -> Markup {
    let counts: Vec<u64> = training["n_per_class"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_u64)
        .collect();
    let (fewest, most) =
        (counts.iter().min().copied().unwrap_or(0), counts.iter().max().copied().unwrap_or(0));
    let loss = training["epochs"].as_array().and_then(|epochs| epochs.last()?["loss"].as_f64());
    let probe = training["probe"]["cross_validated_accuracy"].as_f64();
    html! {
        tr {
            th scope="row" { "training " (index + 1) }
            td { (training["n_subtomograms"]) }
            td { @if fewest == most { (most) } @else { (fewest) " to " (most) } }
            td { (training["config"]["n_epochs"]) }
            td { (training["selected_epoch"]) }
            td { (decimal(loss, 3)) }
            td { (percent(probe)) }
        }
    }
}

/// The model and others, where there are any.
fn beside(findings: &Findings) -> Result<Markup> {
    if findings.others.is_empty() {
        return Ok(html! {});
    }
    let entries = beside::entries(findings);
    let n_classes = findings.info.class_names.len();
    let maps: Vec<(usize, String)> = entries
        .iter()
        .enumerate()
        .filter_map(|(index, entry)| Some((index, plots::map(entry.map?, n_classes))))
        .map(|(index, svg)| Ok((index, svg?)))
        .collect::<Result<_>>()?;
    Ok(html! {
        section.card.wide #beside {
            h2 { "Side by side" }
            p.faint { "Models on the same boxes, each box classified and embedded by each of them." }
            div.scroll {
                table {
                    thead {
                        tr {
                            th {}
                            @for name in ["start", "labels", "epochs", "accuracy", "95 %", "macro AUC", "5 neighbours", "silhouette"] {
                                th scope="col" { (name) }
                            }
                        }
                    }
                    tbody { @for (index, entry) in entries.iter().enumerate() { (beside_row(index, entry)) } }
                }
            }
            div.pair {
                @for (title, svg) in &plots::trainings(&entries)? {
                    figure { figcaption { (title) } (PreEscaped(svg)) }
                }
            }
            h3 { "What each makes of the boxes" }
            p.faint { "Embeddings in the plane (t-SNE), numbered by class as above; a ring marks what is classified wrongly." }
            div.pair {
                @for (index, svg) in &maps {
                    figure.map { figcaption { "M" (index + 1) " " (entries[*index].name) } (PreEscaped(svg)) }
                }
            }
        }
    })
}

fn beside_row(index: usize, entry: &Entry<'_>) -> Markup {
    let none = || NONE.to_owned();
    let last = history::trainings(entry.metadata).last();
    let count =
        |value: Option<&Value>| value.and_then(Value::as_u64).map_or_else(none, |n| n.to_string());
    let range = entry.evaluation.map(|found| interval(found.accuracy, found.n_evaluated as f64));
    html! {
        tr {
            th scope="row" { b class={ "k" (plots::color_index(index)) } { "M" (index + 1) } " " (entry.name) }
            td { (entry.metadata["origin"]["start"].as_str().unwrap_or(NONE)) }
            td { (count(last.map(|training| &training["n_subtomograms"]))) }
            td { (last.map_or_else(none, |_| entry.epochs().len().to_string())) }
            td { (percent(entry.evaluation.map(|found| found.accuracy))) }
            td { (range.map_or_else(none, |[low, high]| format!("{} to {}", percent(low), percent(high)))) }
            td { (decimal(entry.evaluation.map(|found| found.macro_auc), 2)) }
            td { (percent(entry.map.map(|map| map.separation.knn_accuracy))) }
            td { (decimal(entry.map.map(|map| map.separation.silhouette), 2)) }
        }
    }
}

fn settings(findings: &Findings) -> Markup {
    let info = &findings.info;
    let size =
        |value: f64| if value > 0.0 { format!("{value} angstrom") } else { "unknown".to_owned() };
    let [z, y, x] = findings.shape;
    let inputs: Vec<String> =
        findings.inputs.iter().map(|path| path.display().to_string()).collect();
    let mut rows = vec![
        ("model", findings.model_path.display().to_string()),
        ("boxes", inputs.join(", ")),
        ("box size", format!("{z} x {y} x {x} voxels (z, y, x)")),
        (
            "voxel size",
            format!("{}; the model's: {}", size(findings.voxel_size), size(info.voxel_size)),
        ),
        (
            "network",
            format!("{}, {:.1} million weights", info.backbone, info.n_parameters as f64 / 1e6),
        ),
        ("classes", info.class_names.join(", ")),
    ];
    if !info.checkpoint_sha256.is_empty() {
        rows.push(("video weights", format!("SHA-256 {}", info.checkpoint_sha256)));
    }
    let mut options = Vec::new();
    flatten("", &findings.metadata["preprocess"], &mut options);
    if let Some(training) = history::trainings(&findings.metadata).last() {
        flatten("", &training["config"], &mut options);
    }
    html! {
        section.card.wide #settings {
            h2 { "Settings" }
            dl { @for (name, value) in &rows { dt { (name) } dd { (value) } } }
            details {
                summary { "Preprocessing and options of the last training" }
                dl { @for (name, value) in &options { dt { (name) } dd { (value) } } }
            }
        }
    }
}

/// The members of an object, those of objects within it under joined names.
fn flatten(place: &str, value: &Value, options: &mut Vec<(String, String)>) {
    let Some(members) = value.as_object() else {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        return options.push((place.to_owned(), text));
    };
    for (name, value) in members {
        let name = name.replace('_', " ");
        let place = if place.is_empty() { name } else { format!("{place}, {name}") };
        flatten(&place, value, options);
    }
}
