//! Maps of evidence, and the page that tells everything about a model.

use std::process::Command;

use cinetomo_formats::volumes;
use cinetomo_host::{
    GradCamOptions, Hooks, Plugin, Volume,
    abi::{cinetomo_contrast, cinetomo_device},
};
use cinetomo_tests::library;
use serde_json::Value;

use crate::lab::{Lab, leftovers};

/// Python's own parser of HTML: says what is not closed, and what is in the page.
const PARSER: &str = r#"
import html.parser, json, re, sys
VOID = {"meta", "img", "br", "link", "input", "hr"}
class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.faults, self.found = [], [], {"tags": [], "ids": [], "addresses": [], "handlers": [], "text": ""}
    def handle_starttag(self, tag, attributes):
        self.found["tags"].append(tag)
        for name, value in attributes:
            if name == "id": self.found["ids"].append(value)
            if name in ("src", "href", "xlink:href", "action"): self.found["addresses"].append(value[:22])
            if name.startswith("on"): self.found["handlers"].append(name)
        if tag not in VOID: self.open.append(tag)
    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID: self.open.pop()
    def handle_endtag(self, tag):
        if not self.open or self.open[-1] != tag: self.faults.append(f"</{tag}> in {self.open[-3:]}")
        else: self.open.pop()
    def handle_data(self, data):
        if "style" not in self.open: self.found["text"] += data
page = Page()
page.feed(open(sys.argv[1], encoding="utf-8").read())
page.close()
print(json.dumps({**page.found, "faults": page.faults + page.open}))
"#;

fn parse(lab: &Lab, page: &str) -> Value {
    let output = Command::new("python3")
        .args(["-c", PARSER])
        .arg(lab.at(page))
        .output()
        .expect("Python runs");
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|text| text.as_str().expect("a text")).collect()
}

#[test]
fn a_report_is_one_whole_page_with_every_section() {
    let lab = Lab::new().with_data();
    let json = lab
        .cinetomo("report -m tuned.safetensors -i test.mrc --labels test.csv --contrast dark -o r.html --json")
        .json();
    let page = parse(&lab, "r.html");
    assert_eq!(texts(&page["faults"]), Vec::<&str>::new());
    let sections = [
        "doubts",
        "confusion",
        "classes",
        "map",
        "roc",
        "reliability",
        "examples",
        "training",
        "settings",
    ];
    assert_eq!(texts(&page["ids"]), sections);
    // Nothing is fetched, and nothing runs.
    assert!(!lab.read("r.html").contains("http"));
    assert!(texts(&page["addresses"]).iter().all(|a| a.starts_with("data:image/png;base64,")));
    assert!(!texts(&page["tags"]).contains(&"script"));
    let count = |tag| texts(&page["tags"]).iter().filter(|other| **other == tag).count();
    // Three slices of a box as it is and three explained, of each class at least one box.
    assert!(count("img") >= 18 && count("img").is_multiple_of(6), "{}", count("img"));
    assert!(count("svg") >= 3 && count("circle") > 8, "{} {}", count("svg"), count("circle"));

    // The same numbers as from the commands that measure.
    lab.cinetomo("classify -m tuned.safetensors -i test.mrc --contrast dark -o c.csv").ok();
    let measured = lab.cinetomo("evaluate --scores c.csv --labels test.csv --json").json();
    for name in ["n", "accuracy", "balanced_accuracy", "macro_auc", "expected_calibration_error"] {
        assert_eq!(json[name], measured[name], "{name}");
    }
    let accuracy = format!("{:.0} %", 100.0 * measured["accuracy"].as_f64().unwrap());
    assert!(page["text"].as_str().unwrap().contains(&accuracy));
    assert!(
        json["doubts"].as_array().unwrap().iter().all(|doubt| doubt["is_serious"] == false),
        "{json}"
    );

    lab.cinetomo("report -m tuned.safetensors -i test.mrc --labels test.csv -o r.html")
        .fails(1, "exists already");
    lab.cinetomo("report -m tuned.safetensors -i test.mrc --labels test.csv -o r.pdf")
        .fails(2, "expected a .html");
    assert!(leftovers(&lab).is_empty());
}

#[test]
fn models_stand_beside_each_other() {
    let lab = Lab::new().with_data();
    lab.cinetomo(
        "init --random --classes T20S~proteasome apoferritin hemagglutinin -o untuned.safetensors",
    )
    .ok();
    lab.write_few(12);
    lab.cinetomo("finetune --random --views 1 --labels few.csv --contrast dark --augment none --epochs 2 -o other.safetensors").ok();
    let json = lab
        .cinetomo("report -m tuned.safetensors --beside other.safetensors untuned.safetensors -i test.mrc --labels test.csv --contrast dark -o r.html --json")
        .json();
    let page = parse(&lab, "r.html");
    assert_eq!(texts(&page["faults"]), Vec::<&str>::new());
    assert!(texts(&page["ids"]).contains(&"beside"));
    let text = page["text"].as_str().unwrap();
    for name in ["M1 tuned.safetensors", "M2 other.safetensors", "M3 untuned.safetensors"] {
        assert!(text.contains(name), "{name}");
    }
    // The same numbers as from a report on each.
    let other = lab
        .cinetomo("report -m other.safetensors -i test.mrc --labels test.csv --contrast dark -o o.html --json")
        .json();
    let beside = &json["beside"][0];
    assert_eq!(
        (&beside["accuracy"], &beside["macro_auc"]),
        (&other["accuracy"], &other["macro_auc"])
    );
    // What was never tuned has neighbours and no accuracy.
    assert!(json["beside"][1]["accuracy"].is_null());
    assert!(json["beside"][1]["knn_accuracy"].as_f64().unwrap() > 0.0);

    let classes = "hemagglutinin apoferritin T20S~proteasome";
    lab.cinetomo(&format!("finetune --random --views 1 --labels few.csv --classes {classes} --contrast dark --augment none --preset probe -o turned.safetensors")).ok();
    lab.cinetomo("report -m tuned.safetensors --beside turned.safetensors -i test.mrc --labels test.csv -o s.html")
        .fails(1, "its classes are hemagglutinin, apoferritin");
}

#[test]
fn a_report_on_the_training_says_so() {
    let lab = Lab::new().with_data();
    // The model of the shared data, with the run file that its making leaves.
    lab.cinetomo("finetune --random --views 1 --labels train.csv --contrast dark --augment none --preset probe -o a.safetensors").ok();
    let json = lab
        .cinetomo("report -m a.safetensors -i train.mrc --labels train.csv --contrast bright -o r.html --json")
        .json();
    let serious: Vec<&Value> = json["doubts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|doubt| doubt["is_serious"] == true)
        .collect();
    let titles: Vec<&str> = serious.iter().map(|doubt| doubt["title"].as_str().unwrap()).collect();
    assert!(titles.contains(&"36 of these boxes were in the training"), "{titles:?}");
    assert!(titles.contains(&"The other contrast"), "{titles:?}");
    let page = parse(&lab, "r.html");
    assert!(page["text"].as_str().unwrap().contains(titles[0]));
}

#[test]
fn names_in_a_report_are_text() {
    let lab = Lab::new().with_data();
    let names =
        ["<script>alert(1)</script>", "\"&'><img src=x onerror=alert(1)>", "</style></svg>&amp;"];
    let hostile = |text: &str| {
        let mut classes: Vec<&str> = Vec::new();
        let mut csv = "path,label\n".to_owned();
        for line in text.lines().skip(1) {
            let (path, label) = line.split_once(',').unwrap();
            let index = classes.iter().position(|class| *class == label).unwrap_or_else(|| {
                classes.push(label);
                classes.len() - 1
            });
            let path = path.replace("test.mrc", "<b>&'x.mrc");
            csv += &format!("{path},\"{}\"\n", names[index].replace('"', "\"\""));
        }
        csv
    };
    lab.write("h-train.csv", hostile(&lab.read("train.csv")));
    lab.write("h-test.csv", hostile(&lab.read("test.csv")));
    std::fs::copy(lab.at("test.mrc"), lab.at("<b>&'x.mrc")).unwrap();
    lab.cinetomo("finetune --random --views 1 --labels h-train.csv --contrast dark --augment none --preset probe -o <i>.safetensors").ok();
    lab.cinetomo("report -m <i>.safetensors --labels h-test.csv --contrast dark -o r.html").ok();
    let page = parse(&lab, "r.html");
    assert_eq!(texts(&page["faults"]), Vec::<&str>::new());
    assert_eq!(texts(&page["handlers"]), Vec::<&str>::new());
    assert!(texts(&page["addresses"]).iter().all(|a| a.starts_with("data:image/png;base64,")));
    assert!(!texts(&page["tags"]).contains(&"script"));
    let text = page["text"].as_str().unwrap();
    for name in names.iter().chain(&["<b>&'x.mrc", "<i>.safetensors"]) {
        assert!(text.contains(name), "{name}");
        assert!(!lab.read("r.html").contains(name), "{name} is not escaped");
    }
}

#[test]
fn maps_are_the_librarys() {
    let lab = Lab::new().with_data();
    let explain = "explain -m tuned.safetensors -i test.mrc --contrast dark";
    let json = lab
        .cinetomo(&format!(
            "{explain} --which 3 24 --class apoferritin -o maps.mrcs --picture maps.png --json"
        ))
        .json();
    assert_eq!((&json["n"], &json["n_pictured"]), (&2.into(), &2.into()));
    let boxes = volumes::open(lab.at("test.mrc")).unwrap();
    let maps = volumes::open(lab.at("maps.mrcs")).unwrap();
    assert_eq!((maps.n_volumes(), maps.shape()), (2, boxes.shape()));
    assert_eq!(maps.voxel_size(), 10.0);

    let plugin = Plugin::open(&library(), "cinetomo_get_api").unwrap();
    let mut options = plugin.context_options();
    (options.n_threads, options.device) = (1, cinetomo_device::Cpu as i32);
    let model = plugin.context(options).unwrap().model_load(lab.at("tuned.safetensors")).unwrap();
    let options = GradCamOptions { class_index: Some(1), ..GradCamOptions::default() };
    for (map, index) in [2, 23].into_iter().enumerate() {
        let voxels: Vec<f32> = boxes.read(index).unwrap().iter().copied().collect();
        let volume = Volume::new(&voxels, [1, 32, 32, 32]).unwrap();
        let volume = volume.voxel_size(10.0).contrast(cinetomo_contrast::Dark);
        let expected = model.grad_cam(&volume, &options, Hooks::default()).unwrap();
        let got: Vec<f32> = maps.read(map).unwrap().iter().copied().collect();
        let greatest = expected.iter().copied().fold(0.0, f32::max);
        assert!(greatest > 0.0);
        for (a, b) in got.iter().zip(&expected) {
            assert!((a - b).abs() <= 1e-4 * greatest, "{a} {b}");
        }
    }
    let picture = std::fs::read(lab.at("maps.png")).unwrap();
    let extent = |at: usize| u32::from_be_bytes(picture[at..at + 4].try_into().unwrap());
    // Six slices of 32 voxels in a row, each four times as large, and two rows; 4 pixels between.
    assert_eq!([extent(16), extent(20)], [6 * 132 + 4, 2 * 132 + 4]);

    lab.cinetomo(&format!("{explain} --class ribosome -o b.mrcs"))
        .fails(2, "the model's classes are");
    lab.cinetomo(&format!("{explain} --which 25 -o b.mrcs")).fails(2, "numbered from 1 to 24");
    lab.cinetomo(&format!("{explain} --stage nowhere -o b.mrcs")).fails(1, "nowhere");
    lab.cinetomo(&format!("{explain} -o b.png")).fails(2, "expected a .mrcs or .mrc");
    assert!(leftovers(&lab).is_empty());
}

#[test]
fn the_demonstration_ends_with_a_report() {
    let lab = Lab::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/demo.py");
    let output = Command::new("python3")
        .args([script, "--command", env!("CARGO_BIN_EXE_cinetomo"), "--directory"])
        .arg(lab.at("demo"))
        .args(
            "--per-class 1 --test 1 --epochs 1 --longer-epochs 0 --device cpu --checkpoint"
                .split(' '),
        )
        .arg(cinetomo_tests::i3d_checkpoint())
        .args(["--plugin".as_ref(), library().as_os_str()])
        .output()
        .expect("Python runs");
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        printed.contains("| video | 1 | 0.") && printed.contains("| random numbers | 1 | 0."),
        "{printed}"
    );
    let last = printed.trim_end().lines().last().unwrap();
    let path = last.split(": ").next().unwrap();
    assert!(path.ends_with("demo/report.html") && std::path::Path::new(path).exists(), "{printed}");
}
