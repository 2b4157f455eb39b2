"""The Portuguese catalogue: it holds what the templates mark, and pages read in it keep no English."""

import ast
import gettext
import re
import struct
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils.translation.template import templatize

from deployments.models import Draft, Environment
from tests import factories

CATALOGUE = Path(settings.LOCALE_PATHS[0]) / "pt" / "LC_MESSAGES" / "django.mo"
TEMPLATES = Path(__file__).parents[2] / "templates"

_TEXT = r"""u?(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")"""
_MARK = re.compile(rf"(?P<call>\b(?:n|p)?gettext|\b_)\((?P<first>{_TEXT})(?:, ?(?P<second>{_TEXT}))?")


class Nothing(gettext.NullTranslations):
    """Where a lookup ends that the catalogue does not answer."""

    def gettext(self, message: str) -> str:
        return ""

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return ""

    def pgettext(self, context: str, message: str) -> str:
        return ""


class Reader(HTMLParser):
    """What a reader of a page sees or hears: its texts, and the attributes that are spoken or shown."""

    SPOKEN = frozenset({"aria-label", "placeholder", "title", "alt", "data-label", "data-copied"})

    def __init__(self) -> None:
        super().__init__()
        self.texts: set[str] = set()
        self.drawn: list[str] = []
        self._unread = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # A language in the list of languages is called by its own name, and says so.
        foreign = tag != "html" and any(name == "lang" for name, _ in attrs)
        if foreign or tag in {"script", "style", "code", "pre", "textarea"}:
            self._unread = tag
        self.texts |= {value for name, value in attrs if value and name in self.SPOKEN}
        self.drawn += [value for name, value in attrs if value and name in {"x", "y", "width", "height", "cx", "cy"}]

    def handle_endtag(self, tag: str) -> None:
        self._unread = "" if tag == self._unread else self._unread

    def handle_data(self, data: str) -> None:
        if not self._unread:
            self.texts.add(" ".join(data.split()))


@pytest.fixture(scope="module")
def catalogue() -> gettext.GNUTranslations:
    with CATALOGUE.open("rb") as file:
        found = gettext.GNUTranslations(file)
    found.add_fallback(Nothing())
    return found


@pytest.fixture
def reader(deployer: Client) -> Client:
    """A deployer whose browser asks for Portuguese."""
    deployer.defaults["HTTP_ACCEPT_LANGUAGE"] = "pt-BR,pt;q=0.9"
    return deployer


def seen(client: Client, address: str) -> Reader:
    answer = client.get(address)
    assert answer.status_code == 200
    assert answer.headers["Content-Language"] == "pt"
    page = Reader()
    page.feed(answer.content.decode())
    return page


def leftovers(page: Reader, catalogue: gettext.GNUTranslations) -> set[str]:
    """Texts of the page that are English although the catalogue has other words for them."""
    return {text for text in page.texts if text and catalogue.gettext(text) not in ("", text)}


def test_the_catalogue_holds_every_text_of_the_templates(catalogue: gettext.GNUTranslations) -> None:
    marked, missing = 0, []
    for path in sorted(TEMPLATES.rglob("*.html")):
        for mark in _MARK.finditer(templatize(path.read_text())):
            first, second = (ast.literal_eval(text) if text else "" for text in mark.group("first", "second"))
            match mark["call"]:
                case "ngettext":
                    found = catalogue.ngettext(first, second, 1) and catalogue.ngettext(first, second, 2)
                case "pgettext":
                    found = catalogue.pgettext(first, second)
                case _:
                    found = catalogue.gettext(first)
            marked += 1
            if not found:
                missing.append(f"{path.relative_to(TEMPLATES)}: {second or first}")
    assert marked > 500, "the marks are found at all"
    assert not missing, "run makemessages -l pt, translate these, and run compilemessages"


def test_what_is_served_is_what_was_translated() -> None:
    """A .mo holds translated texts only, so equal counts mean that none is empty, fuzzy or not yet compiled."""
    written = CATALOGUE.with_suffix(".po").read_text()
    (compiled,) = struct.unpack("<I", CATALOGUE.read_bytes()[8:12])
    assert compiled == len(re.findall(r"^msgid ", written, re.MULTILINE))


def test_home_is_read_in_portuguese(reader: Client, catalogue: gettext.GNUTranslations) -> None:
    empty = seen(reader, "/")
    assert "Nada foi implantado ainda" in empty.texts
    assert not leftovers(empty, catalogue)
    factories.finished(factories.started(factories.deployment()))
    factories.finished(factories.started(factories.deployment("oak", tags={"paper-fault": "image=broken"})))
    page = seen(reader, "/")
    assert {"Requer atenção", "Execuções recentes", "No ar", "Com falha"} <= page.texts
    assert not page.texts & {"Needs attention", "Recent runs", "Live", "Failed", "Home", "Deployments", "Sign out"}
    assert not leftovers(page, catalogue)


def test_deployments_and_their_runs_are_read_in_portuguese(reader: Client, catalogue: gettext.GNUTranslations) -> None:
    run = factories.started(factories.deployment())
    factories.finished(run)
    listed = seen(reader, reverse("web:deployments"))
    assert {"Implantações", "Ambiente", "Taxa de hits, 24 h", "1 implantação"} <= listed.texts
    assert not listed.texts & {"Environment", "Hit rate", "1 deployment", "Changed"}
    detail = seen(reader, reverse("web:deployment", args=["iris"]))
    assert {"Revisões", "Recursos", "Alterar", "Reiniciar", "O que está no ar"} <= detail.texts
    followed = seen(reader, reverse("web:run", args=[run.pk]))
    assert {"Etapas", "Log", "Todas as etapas"} <= followed.texts
    named = set(run.steps.values_list("title", flat=True))
    for page in (listed, detail, followed):
        assert not leftovers(page, catalogue) - named, "a resource alone is called what its target calls it"
        assert not [value for value in page.drawn if "," in value], "drawings keep the decimal point"


def test_the_wizard_is_read_in_portuguese(
    reader: Client, paper: Environment, catalogue: gettext.GNUTranslations
) -> None:
    first = seen(reader, reverse("web:wizard_new"))
    assert {"Implantar um modelo", "Enviar o modelo", "Requisitos"} <= first.texts
    assert not first.texts & {"Deploy a model", "Upload the model", "Requirements", "Review", "Next"}
    reader.post(
        reverse("web:wizard_new"),
        {
            "method": "predict",
            "python": "3.11",
            "execution": "auto",
            "artifact_file": SimpleUploadedFile("m.joblib", b"\x80\x04a model"),
        },
    )
    draft = Draft.objects.get()
    for step in ("function", "cache", "environment", "review"):
        page = seen(reader, reverse("web:wizard_step", args=[draft.pk, step]))
        assert not leftovers(page, catalogue), step
    assert {"Verificação prévia", "Aprovar e implantar"} <= page.texts
