package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.RefusedException;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyInt;

import java.util.Optional;
import java.util.OptionalLong;
import java.util.TreeSet;

/// Samples a step: the global batch stays (or is set), and the micro batch follows, since `global =
/// micro * accumulation * dp`. A configuration that does not name a global batch keeps its micro
/// batch: its global batch is what dp makes of it.
///
/// Source: DeepSpeed `runtime/config.py` (`_set_batch_related_parameters`).
///
/// @param global samples a step, absent where the configuration does not say
/// @param micro samples a rank takes at once, absent where it stays
record Batch(OptionalLong global, OptionalLong micro) {
    private static final String GLOBAL = "train_batch_size";
    private static final String MICRO = "train_micro_batch_size_per_gpu";
    private static final String ACCUMULATION = "gradient_accumulation_steps";

    static Batch of(PyDict config, Choices choices, Ranks source, Ranks target) {
        OptionalLong stated = number(config, GLOBAL);
        OptionalLong micro = number(config, MICRO);
        Optional<Long> wanted = choices.globalBatch();
        if (stated.isEmpty() && wanted.isEmpty()) {
            return new Batch(OptionalLong.empty(), OptionalLong.empty());
        }
        long accumulation = accumulation(config, stated, micro, source);
        long global = wanted.orElseGet(stated::getAsLong);
        long ranks = Math.multiplyExact(accumulation, (long) target.dp());
        if (global % ranks != 0) {
            throw new RefusedException(
                    GLOBAL,
                    "a global batch of %d over %d data-parallel ranks with %d accumulation steps"
                            .formatted(global, target.dp(), accumulation),
                    "a multiple of %d".formatted(ranks),
                    "--global-batch %d or %d, or --dp with one of %s"
                            .formatted(
                                    Math.max(1, global / ranks) * ranks,
                                    (global / ranks + 1) * ranks,
                                    divisors(global / Math.max(1, accumulation))));
        }
        return new Batch(OptionalLong.of(global), OptionalLong.of(global / ranks));
    }

    private static long accumulation(
            PyDict config, OptionalLong global, OptionalLong micro, Ranks source) {
        OptionalLong steps = number(config, ACCUMULATION);
        if (steps.isPresent() && steps.getAsLong() > 0) {
            return steps.getAsLong();
        }
        if (global.isPresent() && micro.isPresent() && micro.getAsLong() > 0) {
            long each = micro.getAsLong() * source.dp();
            if (each > 0 && global.getAsLong() % each == 0) {
                return Math.max(1, global.getAsLong() / each);
            }
        }
        return 1;
    }

    private static String divisors(long of) {
        TreeSet<Long> all = new TreeSet<>();
        for (long d = 1; d <= Math.min(of, 4096); d++) {
            if (of % d == 0) {
                all.add(d);
            }
        }
        return all.toString();
    }

    static OptionalLong number(PyDict dict, String key) {
        return dict.find(key).map(PickleValue::asLong).orElse(OptionalLong.empty());
    }

    /// The configuration with these numbers where it has them.
    PyDict in(PyDict config) {
        PyDict changed = config;
        if (global.isPresent() && config.has(GLOBAL)) {
            changed = changed.with(GLOBAL, PyInt.of(global.getAsLong()));
        }
        if (micro.isPresent() && config.has(MICRO)) {
            changed = changed.with(MICRO, PyInt.of(micro.getAsLong()));
        }
        return changed;
    }
}
