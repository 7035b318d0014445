"""The parts of the repository that are computed: a module a page, from recorded results, never from claims."""
