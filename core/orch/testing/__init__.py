"""A kit for plugin authors: the conformance suite, the mutation of the spec, builders."""
