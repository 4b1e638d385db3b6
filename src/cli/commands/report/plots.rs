//! The diagrams of a report, as SVG by the crate `plotters`. It writes colours as fixed numbers: those here are names by
//! which `style.css` gives each its colour on light and on dark paper.

use std::{error::Error, ops::Range};

use plotters::{
    coord::types::RangedCoordf64,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{beside::Entry, findings::Findings, map::Map};
use crate::failure::{Failure, Result};

const INK: RGBColor = RGBColor(0x1b, 0x1f, 0x24);
const FAINT: RGBColor = RGBColor(0x8b, 0x94, 0x9e);
const GRID: RGBColor = RGBColor(0xe1, 0xe4, 0xe8);

/// Seven colours that the colour-blind tell apart (Okabe & Ito 2008), without yellow, which white paper swallows.
const COLORS: [RGBColor; 7] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0x6b, 0x6b, 0x6b),
];

/// Points of a ROC curve that are drawn at most: more are not seen.
const MAX_POINTS: usize = 200;

const SIZE: (u32, u32) = (460, 340);
const FONT: (&str, u32) = ("sans-serif", 16);

type Drawn<T = ()> = Result<T, Box<dyn Error>>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// How classes are told apart: colour, and dashes or marks for those beyond the colours.
pub fn color_index(class: usize) -> usize {
    class % COLORS.len()
}

/// A line with its name.
struct Line {
    name: String,
    color: usize,
    points: Vec<(f64, f64)>,
}

/// What the axes show.
struct Axes {
    x: Range<f64>,
    y: Range<f64>,
    titles: [&'static str; 2],
    /// Room for names to the right of lines.
    right: u32,
}

fn draw(
    size: (u32, u32),
    paint: impl FnOnce(&DrawingArea<SVGBackend<'_>, plotters::coord::Shift>) -> Drawn,
) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let failed = |error: &dyn std::fmt::Display| Failure::Error(format!("a diagram: {error}"));
        paint(&area).map_err(|error| failed(&error))?;
        area.present().map_err(|error| failed(&error))?;
    }
    // Within HTML the name space is known, and the page then names no address at all.
    Ok(svg.replace(" xmlns=\"http://www.w3.org/2000/svg\"", ""))
}

fn text(color: &RGBColor) -> TextStyle<'_> {
    TextStyle::from(FONT.into_font()).color(color)
}

fn chart<'a, 'b>(
    area: &'a DrawingArea<SVGBackend<'b>, plotters::coord::Shift>,
    axes: &Axes,
) -> Drawn<Chart<'a, 'b>> {
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_right(axes.right)
        .x_label_area_size(46)
        .y_label_area_size(58)
        .build_cartesian_2d(axes.x.clone(), axes.y.clone())?;
    let number = |value: &f64| {
        // What is nearly whole is: ticks are sums of steps.
        let text = format!("{value:.2}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(FAINT)
        .label_style(text(&INK))
        .axis_desc_style(text(&INK))
        .x_labels(6)
        .y_labels(6)
        .x_label_formatter(&number)
        .y_label_formatter(&number)
        .x_desc(axes.titles[0])
        .y_desc(axes.titles[1])
        .draw()?;
    Ok(chart)
}

/// Lines with their names at their ends.
fn lines(axes: &Axes, lines: &[Line]) -> Result<String> {
    draw(SIZE, |area| {
        let mut chart = chart(area, axes)?;
        // Names that would cover each other move apart: a line of text is about this high.
        let height = 0.07 * (axes.y.end - axes.y.start);
        let mut ends: Vec<(f64, &Line)> =
            lines.iter().filter_map(|line| Some((line.points.last()?.1, line))).collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (_, line) in &ends {
            let color = COLORS[line.color];
            chart
                .draw_series(LineSeries::new(line.points.iter().copied(), color.stroke_width(2)))?;
            let dots = line.points.iter().map(|&point| Circle::new(point, 2, color.filled()));
            chart.draw_series(dots.collect::<Vec<_>>())?;
        }
        let mut lowest = f64::MIN;
        for (end, line) in ends {
            let at = end.max(lowest + height);
            lowest = at;
            let x = line.points.last().map_or(axes.x.end, |point| point.0);
            let style = text(&COLORS[line.color]).pos(Pos::new(HPos::Left, VPos::Center));
            let name = EmptyElement::at((x, at)) + Text::new(line.name.clone(), (8, 0), style);
            chart.plotting_area().draw(&name)?;
        }
        Ok(())
    })
}

/// Loss and accuracy after each epoch; empty where no epochs were trained.
pub fn training(epochs: &[serde_json::Value]) -> Result<Vec<(&'static str, String)>> {
    let mut plots = Vec::new();
    for (title, keys) in
        [("Loss", ["loss", "validation_loss"]), ("Accuracy", ["accuracy", "validation_accuracy"])]
    {
        let found =
            [curve(epochs, keys[0], "training", 0), curve(epochs, keys[1], "validation", 1)];
        if found.iter().map(|line| line.points.len()).sum::<usize>() >= 2 {
            plots.push((title, curves(title, &found, 88)?));
        }
    }
    Ok(plots)
}

/// Loss and accuracy of several models after each epoch: on subtomograms held out where every training held some out.
pub fn trainings(entries: &[Entry<'_>]) -> Result<Vec<(String, String)>> {
    let trained = || entries.iter().filter(|entry| !entry.epochs().is_empty());
    let is_validated =
        trained().all(|entry| entry.epochs()[0]["validation_loss"].as_f64().is_some());
    let mut plots = Vec::new();
    for (title, key) in [("Loss", "loss"), ("Accuracy", "accuracy")] {
        let (key, of) = match is_validated {
            true => (format!("validation_{key}"), "of the validation"),
            false => (key.to_owned(), "of the training"),
        };
        let numbered = entries.iter().enumerate();
        let found: Vec<Line> = numbered
            .map(|(index, entry)| {
                curve(entry.epochs(), &key, &format!("M{}", index + 1), color_index(index))
            })
            .collect();
        if trained().count() >= 2 {
            plots.push((format!("{title} {of}"), curves(title, &found, 40)?));
        }
    }
    Ok(plots)
}

fn curve(epochs: &[serde_json::Value], key: &str, name: &str, color: usize) -> Line {
    let point = |epoch: &serde_json::Value| Some((epoch["epoch"].as_f64()?, epoch[key].as_f64()?));
    Line { name: name.to_owned(), color, points: epochs.iter().filter_map(point).collect() }
}

fn curves(title: &'static str, found: &[Line], right: u32) -> Result<String> {
    let points = || found.iter().flat_map(|line| &line.points);
    let last = points().map(|point| point.0).fold(1.0, f64::max);
    let highest = points().map(|point| point.1).fold(0.0, f64::max);
    let top = if title == "Loss" { 1.05 * highest.max(1e-6) } else { 1.02 };
    let axes = Axes { x: 0.0..last, y: 0.0..top, titles: ["epoch", title], right };
    lines(&axes, found)
}

/// A ROC curve for each class.
pub fn roc(findings: &Findings) -> Result<String> {
    let titles = ["false positive rate", "true positive rate"];
    let axes = Axes { x: -0.01..1.0, y: 0.0..1.01, titles, right: 16 };
    draw(SIZE, |area| {
        let mut chart = chart(area, &axes)?;
        chart.draw_series(DashedLineSeries::new([(0.0, 0.0), (1.0, 1.0)], 4, 4, FAINT.into()))?;
        for (class, points) in
            findings.roc.iter().enumerate().filter(|(_, points)| !points.is_empty())
        {
            let step = points.len().div_ceil(MAX_POINTS);
            let last = points.len() - 1;
            let kept =
                points.iter().enumerate().filter(|(index, _)| index % step == 0 || *index == last);
            let points: Vec<(f64, f64)> = kept
                .map(|(_, point)| (point.false_positive_rate, point.true_positive_rate))
                .collect();
            let style = COLORS[color_index(class)].stroke_width(2);
            match class / COLORS.len() {
                0 => chart.draw_series(LineSeries::new(points, style))?,
                round => {
                    let dash = 10 / round.min(5) as u32;
                    chart.draw_series(DashedLineSeries::new(points, dash, 3, style))?
                }
            };
        }
        Ok(())
    })
}

/// How often probabilities come true: circles as large as boxes are many.
pub fn reliability(findings: &Findings) -> Result<String> {
    let titles = ["probability of the class", "fraction right"];
    let axes = Axes { x: 0.0..1.0, y: 0.0..1.04, titles, right: 16 };
    let bins: Vec<_> = findings.reliability.iter().filter(|bin| bin.n > 0).collect();
    let most = bins.iter().map(|bin| bin.n).max().unwrap_or(1) as f64;
    draw(SIZE, |area| {
        let mut chart = chart(area, &axes)?;
        chart.draw_series(DashedLineSeries::new([(0.0, 0.0), (1.0, 1.0)], 4, 4, FAINT.into()))?;
        let color = COLORS[0];
        for bin in &bins {
            let gap = [(bin.confidence, bin.confidence), (bin.confidence, bin.accuracy)];
            chart.draw_series(LineSeries::new(gap, COLORS[1].stroke_width(2)))?;
        }
        chart.draw_series(LineSeries::new(
            bins.iter().map(|bin| (bin.confidence, bin.accuracy)),
            color.stroke_width(2),
        ))?;
        let circle = |n: i64| 3 + (7.0 * (n as f64 / most).sqrt()) as i32;
        chart.draw_series(bins.iter().map(|bin| {
            Circle::new((bin.confidence, bin.accuracy), circle(bin.n), color.filled())
        }))?;
        Ok(())
    })
}

/// Embeddings in the plane: a colour, a mark and a number (C1 for the first) for each class, a ring around what is classified wrongly.
pub fn map(map: &Map, n_classes: usize) -> Result<String> {
    let range = |axis: usize| {
        let along = || map.positions.iter().map(|position| position[axis]);
        let (low, high) = (along().fold(f64::MAX, f64::min), along().fold(f64::MIN, f64::max));
        // Marks and rings reach beyond their points.
        let margin = 0.08 * (high - low).max(1e-6);
        (low - margin)..(high + margin)
    };
    let radius = if map.positions.len() > 500 { 2 } else { 4 };
    draw((460, 360), |area| {
        let chart = ChartBuilder::on(area).margin(6).build_cartesian_2d(range(0), range(1))?;
        for ((position, &label), &is_right) in
            map.positions.iter().zip(&map.labels).zip(&map.is_right)
        {
            let (at, color) = ((position[0], position[1]), COLORS[color_index(label)]);
            match label % 3 {
                0 => chart.plotting_area().draw(&Circle::new(at, radius, color.filled()))?,
                1 => chart.plotting_area().draw(&TriangleMarker::new(
                    at,
                    radius + 1,
                    color.filled(),
                ))?,
                _ => chart.plotting_area().draw(&Cross::new(at, radius, color.stroke_width(2)))?,
            }
            if !is_right {
                chart.plotting_area().draw(&Circle::new(at, radius + 4, INK.stroke_width(1)))?;
            }
        }
        for class in 0..n_classes {
            let Some((x, y)) = middle(map, class) else { continue };
            let style = text(&INK).pos(Pos::new(HPos::Center, VPos::Center));
            chart.plotting_area().draw(&Text::new(format!("C{}", class + 1), (x, y), style))?;
        }
        Ok(())
    })
}

/// The median position of a class's points.
fn middle(map: &Map, class: usize) -> Option<(f64, f64)> {
    let median = |axis: usize| {
        let of_class = map.positions.iter().zip(&map.labels).filter(|(_, label)| **label == class);
        let mut along: Vec<f64> = of_class.map(|(position, _)| position[axis]).collect();
        along.sort_by(f64::total_cmp);
        along.get(along.len() / 2).copied()
    };
    Some((median(0)?, median(1)?))
}
