package io.ucp.formats.deepspeed.universal;

import io.ucp.formats.ParameterFacts;
import io.ucp.formats.Scalar;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.training.TrainingState;
import io.ucp.tensor.DType;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/// What a job that was not DeepSpeed's says for one: the settings of its optimizer's groups, and
/// steps as optimizers hold them.
///
/// Source: DeepSpeed `runtime/base_optimizer.py` (`load_hp_checkpoint_state_from_checkpoint_dir`),
/// `runtime/zero/stage3.py` (`load_hp_checkpoint_state_from_checkpoint_dir_stage3`).
///
/// @param numbers of the source's groups, in the order of DeepSpeed's
record ForeignJob(TrainingState training, List<Integer> numbers) {
    private static final String STEP = "step";

    /// Up to here a float32 has every whole number.
    private static final long EXACT = 1L << 24;

    static ForeignJob of(WriteRequest request, List<ParameterFacts> trained) {
        return new ForeignJob(
                TrainingState.of(request),
                trained.stream()
                        .map(ParameterFacts::optimizerGroup)
                        .filter(g -> g >= 0)
                        .distinct()
                        .sorted()
                        .toList());
    }

    /// A group's number, counted without gaps.
    ParameterFacts renumbered(ParameterFacts p) {
        return p.inGroup(numbers.indexOf(p.optimizerGroup()));
    }

    /// `param_groups`; empty where the source does not say the settings of each.
    Optional<PyList> groups() {
        List<PickleValue> made = new ArrayList<>();
        for (int number : numbers) {
            Optional<PyDict> settings = training.group(number).filter(g -> g.has("betas"));
            if (settings.isEmpty()) {
                return Optional.empty();
            }
            PyDict group = settings.get().without(STEP);
            // torch's own Adam always corrects; a fused one asks.
            group =
                    group.has("bias_correction")
                            ? group
                            : group.with("bias_correction", new PyBool(true));
            made.add(group.with("params", PyList.of(PyInt.of(made.size()))));
        }
        return made.isEmpty() ? Optional.empty() : Optional.of(PyList.of(made));
    }

    /// A tensor, as torch's optimizers need it, where that is the same number: of what is loaded
    /// from universal no one makes one. DeepSpeed's fused ones take it as a number.
    static Scalar step(Scalar counted) {
        OptionalLong whole = counted.whole();
        if (whole.isEmpty() || whole.getAsLong() < 0 || whole.getAsLong() > EXACT) {
            return counted;
        }
        ByteBuffer four = ByteBuffer.allocate(Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        return new Scalar(DType.FLOAT32, four.putFloat((float) whole.getAsLong()).array());
    }
}
