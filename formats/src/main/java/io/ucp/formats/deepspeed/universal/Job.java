package io.ucp.formats.deepspeed.universal;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.deepspeed.ModelStates;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyObject;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;

/// The job that wrote the checkpoint, as its model states say.
///
/// @param modelParallel pipeline times tensor parallel
/// @param experts expert-parallel ranks of a job whose experts AutoEP fused; 0 where there are none
record Job(int stage, int pipeline, int data, int tensor, int modelParallel, int experts) {
    private static final String DEGREES = "checkpoint_parallel_dimensions";

    /// Where older files do not say, all of model parallelism that is not pipeline is tensor.
    ///
    /// @throws IncompleteCheckpointException where the degrees make another count of ranks, or
    ///   experts do not divide them
    static Job of(ModelStates states, PickleValue optimizerState)
            throws IncompleteCheckpointException {
        int modelParallel = degree(states.number("mp_world_size"));
        int pipeline = degree(states.number(DEGREES, "pp_degree"));
        OptionalLong said = states.number(DEGREES, "tp_degree");
        int tensor = said.isPresent() ? degree(said) : Math.max(1, modelParallel / pipeline);
        if ((long) pipeline * tensor != modelParallel) {
            throw new IncompleteCheckpointException(
                    states.file().path().toString(),
                    "%s are pp %d, tp %d, and mp_world_size is %d"
                            .formatted(DEGREES, pipeline, tensor, modelParallel),
                    "%d model-parallel ranks".formatted((long) pipeline * tensor),
                    "the file is of another job; copy the checkpoint that was converted again");
        }
        int data = degree(states.number("dp_world_size"));
        FusedLayers fused = FusedLayers.of(List.of(states.file().root()));
        int experts = fused.isEmpty() ? 0 : degree(fused.degree());
        if (experts > 0 && data % experts != 0) {
            throw new IncompleteCheckpointException(
                    states.file().path().toString(),
                    "experts over %d ranks of %d data-parallel ones".formatted(experts, data),
                    "an ep_size in ds_autoep_layers that divides dp_world_size",
                    "the file is of another job; copy the checkpoint that was converted again");
        }
        return new Job(
                stage(states, optimizerState), pipeline, data, tensor, modelParallel, experts);
    }

    private static int degree(OptionalLong said) {
        return Math.clamp(said.orElse(1), 1, 1 << 24);
    }

    /// The optimizer's own word, else the configuration's; the optimizer of bf16 is of stage 1 and
    /// says nothing.
    private static int stage(ModelStates states, PickleValue optimizerState) {
        OptionalLong said =
                optimizerState.find("zero_stage").map(Job::enumerated).orElse(OptionalLong.empty());
        OptionalLong configured = states.number("ds_config", "zero_optimization", "stage");
        return Math.clamp(said.orElse(configured.orElse(1)), 0, 3);
    }

    /// `ZeroStageEnum(3)`, or a plain number.
    private static OptionalLong enumerated(PickleValue value) {
        return value instanceof PyObject call
                        && call.callable() instanceof PyGlobal name
                        && name.name().equals("ZeroStageEnum")
                ? call.argument(0).map(PickleValue::asLong).orElse(OptionalLong.empty())
                : value.asLong();
    }

    List<AxisDegree> mesh() {
        List<AxisDegree> axes = new ArrayList<>();
        axes.add(new AxisDegree("pp", pipeline));
        axes.add(new AxisDegree("dp", data));
        axes.add(new AxisDegree("tp", tensor));
        if (experts > 0) {
            axes.add(new AxisDegree("ep", experts));
            axes.add(new AxisDegree("edp", data / experts));
        }
        return List.copyOf(axes);
    }
}
