package io.ucp.lang.ast;

import io.ucp.lang.diagnostic.Span;

/// One thing that a spec says.
public sealed interface Statement
        permits Import,
                SpecName,
                Mesh,
                AxisProduct,
                Let,
                States,
                ParamRule,
                GroupRule,
                RenameRule,
                DropRule,
                FrozenRule,
                CastRule,
                Matching {
    Span span();
}
