package io.ucp.lang.internal;

import io.ucp.lang.ast.Spec;

/// stub
final class Checks {
    private Checks() {}

    static Checks of(Spec spec, Problems problems) {
        return new Checks();
    }

    void run() {}
}
