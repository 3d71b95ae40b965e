package io.ucp.cli;

import com.fasterxml.jackson.core.JsonGenerator;

import io.ucp.convert.NumberCount.Numbers;
import io.ucp.convert.NumericHealth;
import io.ucp.convert.NumericHealth.Kind;
import io.ucp.convert.NumericHealth.Thresholds;

import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/// Whether `ucp verify` looks at the numbers, and what it minds.
final class NumericOptions {
    /// As they are written.
    enum Minded {
        nan,
        inf,
        denormal,
        zero,
        constant,
        negative,
        drift;

        Kind kind() {
            return Kind.valueOf(name().toUpperCase(Locale.ROOT));
        }
    }

    @Spec(Spec.Target.MIXEE)
    private CommandSpec spec;

    @Option(
            names = "--numeric",
            description =
                    "Look at the numbers too: NaN, infinities, denormals, moments that are all zero"
                            + " or all the same, negative squares, weights away from their master.")
    private boolean numeric;

    @Option(
            names = "--ignore",
            paramLabel = "KIND,KIND,..",
            split = ",",
            description = "With --numeric, do not mind: ${COMPLETION-CANDIDATES}.")
    private List<Minded> ignored = new ArrayList<>();

    @Option(
            names = "--max-denormals",
            paramLabel = "SHARE",
            defaultValue = "0.5",
            description = "With --numeric, denormals that a state may have: 0 to 1.")
    private double denormals;

    @Option(
            names = "--max-drift",
            paramLabel = "ULPS",
            defaultValue = "0",
            description =
                    "With --numeric, units in the last place that a weight may be away from its"
                            + " master.")
    private long drift;

    boolean asked() {
        return numeric;
    }

    Thresholds thresholds() {
        if (!(denormals >= 0 && denormals <= 1)) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--max-denormals is %s; expected 0 to 1".formatted(denormals));
        }
        Set<Kind> kinds = EnumSet.noneOf(Kind.class);
        ignored.forEach(minded -> kinds.add(minded.kind()));
        return new Thresholds(kinds, denormals, drift);
    }

    /// `"numeric": [..]`, where it was asked for.
    static void write(JsonGenerator json, List<NumericHealth.State> states) throws IOException {
        if (states.isEmpty()) {
            return;
        }
        Json.objects(
                json,
                "numeric",
                states,
                (fields, state) -> {
                    Numbers n = state.numbers();
                    fields.writeStringField("parameter", state.parameter());
                    fields.writeStringField("state", state.state());
                    fields.writeStringField("dtype", state.dtype().torchName());
                    fields.writeNumberField("elements", n.count());
                    fields.writeNumberField("nan", n.nan());
                    fields.writeNumberField("infinite", n.infinite());
                    fields.writeNumberField("denormal", n.denormal());
                    fields.writeNumberField("zero", n.zero());
                    fields.writeNumberField("negative", n.negative());
                    if (n.least() <= n.greatest()) {
                        Json.number(fields, "least", n.least());
                        Json.number(fields, "greatest", n.greatest());
                    }
                });
    }
}
