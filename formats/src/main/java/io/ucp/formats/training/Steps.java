package io.ucp.formats.training;

import io.ucp.formats.ParameterFacts;
import io.ucp.formats.Scalar;

import java.util.Collection;
import java.util.OptionalLong;

/// The steps that an optimizer counted, whatever number it keeps them in.
public final class Steps {
    private static final String STEP = "step";

    private Steps() {}

    /// Of trained parameters that all have the same; empty where one has none, or another.
    public static OptionalLong of(Collection<ParameterFacts> parameters) {
        OptionalLong steps = OptionalLong.empty();
        for (ParameterFacts p : parameters) {
            if (!p.trainable() || p.buffer()) {
                continue;
            }
            Scalar held = p.scalars().get(STEP);
            OptionalLong own = held == null ? OptionalLong.empty() : held.whole();
            if (own.isEmpty() || (steps.isPresent() && !steps.equals(own))) {
                return OptionalLong.empty();
            }
            steps = own;
        }
        return steps;
    }
}
