package io.ucp.lang.ast;

import io.ucp.lang.diagnostic.Span;

/// `import NAME` or `import "file"`: the statements of another spec, as if they were written here.
/// A statement of this spec takes the place of an imported one of the same name.
public record Import(String target, Span span) implements Statement {}
