"""The page for a person, in a real browser: every task, an error, a narrow window, the keyboard alone."""

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running_server import Client, serving
from tiny import TEXTS

from distilbert.engine.pipelines import pipeline

WEB = Path(__file__).parents[2] / "src" / "distilbert" / "serve" / "web"

#: Of each model and task what is typed into which field, and what its picture consists of.
TYPED: dict[tuple[str, str], tuple[dict[str, str], str]] = {
    ("classes", "text-classification"): ({"text": TEXTS[4]}, "ol.bars li"),
    ("entailed", "zero-shot-classification"): ({"text": TEXTS[4], "labels": "film\nwork"}, "ol.bars li"),
    ("tags", "token-classification"): ({"text": f"é𝄞 {TEXTS[0]}"}, ".passage"),
    ("asked", "question-answering"): ({"question": "what is it", "context": TEXTS[2]}, ".passage mark"),
    ("masks", "fill-mask"): ({"text": "it is [MASK]"}, "ol.bars li"),
    ("masks", "sparse-embedding"): ({"text": TEXTS[4]}, "ol.bars li"),
    ("vectors", "sentence-embedding"): ({"text": "a song"}, ".strip i"),
    ("vectors", "sentence-similarity"): ({"source": "a song", "others": "a tune\nbread"}, "ol.bars li"),
    ("states", "feature-extraction"): ({"text": "no"}, ".strip i"),
    ("choices", "multiple-choice"): ({"question": "what is it", "choices": "a song\nbread"}, "ol.bars li"),
}


def test_the_page_asks_for_nothing_beyond_the_server(client: Client) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    named = re.findall(r'(?:src|href)="(page/[^"]+)"', page.body.decode())
    assert len(named) == 3
    for path in named:
        assert client.get(f"/{path}").status == 200
    assert client.get("/page/settings.py").status == 404
    assert client.get("/page/..%2fapp.py").status == 404
    for file in WEB.iterdir():
        content = file.read_text()
        assert not re.search(r"https?://|//cdn|@import|innerHTML|insertAdjacentHTML|eval\(", content), (
            file.name
        )


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="what drives a browser is not installed")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no Chromium with its driver on this machine: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options, webdriver.ChromeService(driver))
    made.set_page_load_timeout(60)
    made.implicitly_wait(30)
    yield made
    made.quit()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where screenshots are kept."""
    place = Path(os.environ.get("DISTILBERT_SCREENSHOTS", tmp_path))
    place.mkdir(parents=True, exist_ok=True)
    return place


def one(browser: Any, selector: str) -> Any:
    return browser.find_element("css selector", selector)


def choose(browser: Any, name: str, value: str) -> None:
    one(browser, f'#{name} option[value="{value}"]').click()


def ask(browser: Any, model: str, task: str, typed: dict[str, str]) -> None:
    choose(browser, "model", model)
    choose(browser, "task", task)
    for name, text in typed.items():
        # Set, since the driver types no character beyond sixteen bits.
        field = one(browser, f"#field-{name}")
        browser.execute_script("arguments[0].value = arguments[1]", field, text)
    one(browser, "button[type=submit]").click()


def test_every_task_has_its_picture(
    browser: Any, client: Client, served: dict[str, Path], pictures: Path
) -> None:
    browser.set_window_size(1000, 900)
    browser.get(client.address)
    for (model, task), (typed, shape) in TYPED.items():
        ask(browser, model, task, typed)
        one(browser, f"#answer {shape}")
        assert one(browser, "#trouble").text == ""
        assert re.fullmatch(r"\d+ ms, \d+ tokens", one(browser, "#facts").text)
        browser.save_screenshot(str(pictures / f"{model}-{task}.png"))
    # The pictures show what the engine says.
    ask(browser, "classes", "text-classification", {"text": TEXTS[4]})
    with pipeline("text-classification", served["classes"], top_k=None) as ours:
        wanted = [f"{found['label']} {100 * found['score']:.1f}%" for found in ours([TEXTS[4]])[0]]
    shown = [item.text.replace("\n", " ") for item in browser.find_elements("css selector", "#answer li")]
    assert shown == wanted
    typed = TYPED["tags", "token-classification"][0]
    ask(browser, "tags", "token-classification", typed)
    with pipeline("ner", served["tags"], aggregation_strategy="simple") as ours:
        spans = [typed["text"][found["start"] : found["end"]] for found in ours(typed["text"])]
    marked = "return [...document.querySelectorAll('#answer mark')].map(own => own.firstChild.data)"
    assert browser.execute_script(marked) == spans
    # The same call, as a command.
    command = browser.execute_script("return document.getElementById('curl').textContent")
    assert command.startswith(f"curl '{client.address}/models/tags/pipeline/token-classification'")
    # Sparse weights are those of words.
    ask(browser, "masks", "sparse-embedding", {"text": TEXTS[4]})
    one(browser, "#answer li")
    shown = browser.execute_script(
        "return [...document.querySelectorAll('#answer li')].map(own => own.firstChild.textContent)"
    )
    with pipeline("sparse-embedding", served["masks"]) as ours:
        best = sorted(ours([TEXTS[4]])[0], key=lambda own: -own["value"])[:20]
        assert shown == [ours.tokenizer.decode([own["index"]]) for own in best]
    said = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert not said


def test_what_is_attended_to_is_shown_by_layer_and_head(browser: Any, client: Client, pictures: Path) -> None:
    browser.set_window_size(1000, 900)
    browser.get(client.address)
    ask(browser, "classes", "text-classification", {"text": TEXTS[4]})
    one(browser, "#answer li")
    one(browser, "#attend summary").click()
    one(browser, "#tokens button")
    script = """return [...document.querySelectorAll('#tokens button')]
      .map(own => [own.textContent, parseFloat(own.style.getPropertyValue('--share'))])"""
    wanted = client.answer("/models/classes/attention", {"inputs": TEXTS[4], "layer": 0})
    shown = browser.execute_script(script)
    assert [token for token, _ in shown] == wanted["tokens"]
    assert [share for _, share in shown] == pytest.approx([100 * own for own in wanted["attention"][0][0]])
    choose(browser, "layer", "2")
    choose(browser, "head", "3")
    browser.find_elements("css selector", "#tokens button")[2].click()
    one(browser, "#tokens button:nth-child(3)[aria-pressed=true]")
    wanted = client.answer("/models/classes/attention", {"inputs": TEXTS[4], "layer": 1})
    shares = [share for _, share in browser.execute_script(script)]
    assert shares == pytest.approx([100 * own for own in wanted["attention"][2][2]])
    browser.save_screenshot(str(pictures / "attention.png"))
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_the_routes_are_shown_and_tried_without_a_network(
    browser: Any, client: Client, pictures: Path
) -> None:
    browser.get(f"{client.address}/docs")
    one(browser, ".route")
    shown = browser.execute_script(
        "return [...document.querySelectorAll('.route summary code')].map(own => own.textContent)"
    )
    document = client.get("/openapi.json").json()["paths"]
    assert sorted(shown) == sorted(
        f"{method.upper()} {path}" for path, own in document.items() for method in own
    )
    (place,) = [i for i, name in enumerate(shown) if name == "POST /tokenize"]
    route = browser.find_elements("css selector", ".route")[place]
    route.find_element("css selector", "summary").click()
    route.find_element("css selector", "button[type=submit]").click()
    for _ in range(300):
        told = route.find_element("css selector", "pre").text
        if told.startswith("200"):
            break
        time.sleep(0.1)
    assert told.startswith("200")
    assert "[CLS]" in told
    browser.save_screenshot(str(pictures / "routes.png"))
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_what_goes_wrong_is_a_sentence(browser: Any, client: Client, pictures: Path) -> None:
    browser.get(client.address)
    ask(browser, "masks", "fill-mask", {"text": "<b>no mask</b>"})
    trouble = one(browser, "#trouble:not(:empty)").text
    assert trouble.startswith("A text to fill must have a mask, [MASK].")
    assert not browser.execute_script("return document.querySelector('#answer b, #trouble b')")
    browser.save_screenshot(str(pictures / "trouble.png"))
    browser.get_log("browser")


def test_a_narrow_window_and_the_keyboard_alone(browser: Any, client: Client, pictures: Path) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    browser.set_window_size(360, 700)
    browser.get(client.address)
    one(browser, "#field-text")
    for _ in range(20):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        if browser.execute_script("return document.activeElement.id") == "field-text":
            break
    typing = ActionChains(browser).send_keys("it is bad")
    typing.key_down(Keys.CONTROL).send_keys(Keys.ENTER).key_up(Keys.CONTROL).perform()
    one(browser, "#answer li")
    assert browser.execute_script("return document.activeElement.id") == "answer"
    wide = browser.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0
    browser.save_screenshot(str(pictures / "narrow.png"))
    ground = "return getComputedStyle(document.body).backgroundColor"
    seen = set()
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        seen.add(browser.execute_script(ground))
        browser.save_screenshot(str(pictures / f"{scheme}.png"))
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert len(seen) == 2


def test_a_key_is_asked_for_where_one_is_wanted(
    browser: Any, client: Client, served: dict[str, Path]
) -> None:
    browser.get(client.address)
    one(browser, "#field-text")
    assert not one(browser, "#key-field").is_displayed()
    with serving({"classes": served["classes"]}, keys=("sesame",)) as keyed:
        browser.get(keyed.address)
        assert one(browser, "#trouble:not(:empty)").text
        one(browser, "#key").send_keys("sesame")
        one(browser, "button[type=submit]").click()
        one(browser, "#field-text").send_keys("it is bad")
        one(browser, "button[type=submit]").click()
        one(browser, "#answer li")
        assert "sesame" not in browser.page_source
    browser.get_log("browser")
