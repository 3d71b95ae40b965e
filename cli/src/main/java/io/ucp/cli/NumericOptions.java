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
import java.util.Optional;
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
            description =
                    "With --numeric, denormals that a state may have: 0 to 1; 0.5 if not given.")
    private Optional<Double> denormals = Optional.empty();

    @Option(
            names = "--max-drift",
            paramLabel = "ULPS",
            description =
                    "With --numeric, units in the last place that a weight may be away from its"
                            + " master; 0 if not given.")
    private Optional<Long> drift = Optional.empty();

    boolean asked() {
        return numeric;
    }

    /// What can be told before anything is read.
    void require() {
        if (!numeric && (denormals.isPresent() || drift.isPresent() || !ignored.isEmpty())) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--ignore, --max-denormals and --max-drift say what --numeric minds; expected"
                            + " --numeric with them");
        }
        if (denormals.filter(share -> !(share >= 0 && share <= 1)).isPresent()) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--max-denormals is %s; expected 0 to 1".formatted(denormals.get()));
        }
        if (drift.filter(ulps -> ulps < 0).isPresent()) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--max-drift is %d; expected 0 or more".formatted(drift.get()));
        }
    }

    Thresholds thresholds() {
        Set<Kind> kinds = EnumSet.noneOf(Kind.class);
        ignored.forEach(minded -> kinds.add(minded.kind()));
        Thresholds standard = Thresholds.STANDARD;
        return new Thresholds(
                kinds, denormals.orElse(standard.denormals()), drift.orElse(standard.drift()));
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
