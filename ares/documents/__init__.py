"""The parts of the repository that are computed: a module a page, from recorded results, never from claims.

`pages/` holds the pages, found by scan (`registry`). They read the goldens' manifests (`manifests`), what a whole run
of the matrix found (`run_summary`) and what became of people's networks. `tools/generate_docs.py` writes; its `--check`
and a test compare.
"""
