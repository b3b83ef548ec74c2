"""A real task from what is at hand: which part of the standard library does a docstring document?"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from distilbert.core.tasks import LabelledTexts
from distilbert.errors import DataError
from distilbert.quickstart.docstrings import Docstring
from distilbert.quickstart.duplicates import RUN, groups, words

#: Modules by topic. All stand in Python 3.11 to 3.14; a leading underscore is a twin in pure Python.
TOPICS = {
    "concurrency": "asyncio concurrent multiprocessing queue sched selectors subprocess threading",
    "debugging": "bdb cProfile doctest pdb profile pstats timeit trace traceback unittest",
    "files": "filecmp fileinput fnmatch genericpath glob gzip bz2 lzma ntpath os pathlib posixpath "
    "_pyio shutil tarfile tempfile zipfile",
    "introspection": "ast dis importlib inspect modulefinder pkgutil pyclbr pydoc runpy symtable "
    "tokenize typing zipimport",
    "mail": "email mailbox mimetypes imaplib poplib smtplib quopri",
    "markup": "html plistlib xml",
    "network": "ftplib http ipaddress netrc socket socketserver ssl urllib webbrowser wsgiref xmlrpc",
    "numbers": "_pydecimal decimal fractions numbers random statistics",
    "settings": "argparse configparser getopt getpass logging optparse",
    "structures": "_collections_abc _weakrefset bisect collections contextlib copy dataclasses enum "
    "functools heapq operator reprlib types weakref",
    "text": "codecs csv difflib encodings gettext json locale re string textwrap",
}

_TOPIC_OF = {module: topic for topic, modules in TOPICS.items() for module in modules.split()}


@dataclass(frozen=True)
class TopicData:
    """The task's rows, no two sides of which share a run of words.

    Attributes:
        labelled: the few rows whose labels may be learnt.
        unlabelled: further texts of the same kind.
        test: rows that no model sees before it is judged.
    """

    labelled: LabelledTexts
    unlabelled: list[str]
    test: LabelledTexts


def topic_data(
    docstrings: Iterable[Docstring],
    *,
    labels_per_topic: int,
    test_share: float,
    min_words: int,
    seed: int,
) -> TopicData:
    """Split the docstrings that have a topic; near-duplicates stay on one side.

    Args:
        docstrings: of the standard library.
        labels_per_topic: how many rows of each topic keep their label.
        test_share: of each topic's rows, to be set aside.
        min_words: of a docstring that says enough to have a topic; at least ``RUN``.
        seed: decides which.

    Raises:
        DataError: the library on this machine documents too little.
    """
    rows = {
        docstring.text: _TOPIC_OF[docstring.module]
        for docstring in docstrings
        if docstring.module in _TOPIC_OF and len(words(docstring.text)) >= max(RUN, min_words)
    }
    texts, topics = list(rows), list(rows.values())
    rng = np.random.default_rng(seed)
    members: dict[int, list[int]] = defaultdict(list)
    for i, number in enumerate(groups(texts)):
        members[number].append(i)
    wanted = {topic: round(test_share * count) for topic, count in Counter(topics).items()}
    test: list[int] = []
    rest: list[int] = []
    for number in rng.permutation(sorted(members)):
        group = members[number]
        # A group goes to the test where its topics still lack as many rows as it has.
        here = Counter(topics[i] for i in group)
        if all(wanted[topic] >= count for topic, count in here.items()):
            wanted = {topic: left - here[topic] for topic, left in wanted.items()}
            test += group
        else:
            rest += group
    taken = Counter[str]()
    labelled: list[int] = []
    unlabelled: list[int] = []
    for i in rng.permutation(rest):
        keeps = taken[topics[i]] < labels_per_topic
        taken[topics[i]] += keeps
        (labelled if keeps else unlabelled).append(i)
    if len(taken) < len(TOPICS) or not unlabelled or not test:
        raise DataError(
            f"The quickstart needs docstrings of at least {min_words} words on each of its topics.",
            received=f"a standard library with {len(texts)} of them",
            remedy="Use a Python whose standard library is installed with its sources.",
        )

    def rows_of(indices: list[int]) -> LabelledTexts:
        return LabelledTexts([texts[i] for i in indices], [topics[i] for i in indices])

    return TopicData(rows_of(labelled), [texts[i] for i in unlabelled], rows_of(sorted(test)))
