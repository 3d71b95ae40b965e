package io.ucp.lang;

import io.ucp.lang.ast.Spec;
import io.ucp.lang.diagnostic.SourceText;
import io.ucp.lang.internal.SpecParser;

/// The language: the only way in.
public final class Ucl {
    private Ucl() {}

    /// Reads and checks a spec, as far as that needs no checkpoint.
    ///
    /// @throws io.ucp.lang.diagnostic.SpecException with everything that is wrong with the text
    public static Spec parse(SourceText source) {
        return SpecParser.parse(source);
    }
}
