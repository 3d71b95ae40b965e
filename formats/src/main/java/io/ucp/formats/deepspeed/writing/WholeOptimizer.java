package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetFile;
import io.ucp.formats.deepspeed.writing.OptimizerGroups.Group;
import io.ucp.formats.deepspeed.writing.OptimizerModel.Kind;
import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.TorchBuilder;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyFloat;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/// The optimizer of a job without ZeRO: `optimizer` in the model states, and of a job with experts
/// `expp_rank_E_mp_rank_MM_optim_states.pt`, one an expert-parallel rank, too.
///
/// Source: DeepSpeed `runtime/engine.py` (`_do_optimizer_sanity_check`,
/// `_configure_fp16_optimizer`, `_save_moe_checkpoint`), `state_dict` of
/// `runtime/fp16/fused_optimizer.py` and `runtime/fp16/unfused_optimizer.py`, torch's
/// `Optimizer.state_dict`.
///
/// @param steps of the job so far
record WholeOptimizer(
        Ranks target,
        OptimizerModel model,
        OptimizerGroups groups,
        Configuration configuration,
        Kind kind,
        ExpertPlaces experts,
        StateTensors tensors,
        PickleValue steps) {

    /// Which of them DeepSpeed would build.
    ///
    /// @throws RefusedException where it builds none, or one that cannot load what it saves
    static Kind kind(OptimizerModel model, Configuration configuration, boolean pipeline) {
        String weights = configuration.weights();
        String gradients = configuration.gradientDtype().orElse(weights);
        if (configuration.enabled("amp") || !gradients.equals(weights)) {
            throw refused(
                    configuration.enabled("amp")
                            ? "`amp`"
                            : "%s weights and %s gradients".formatted(weights, gradients),
                    "gradients of the weights' dtype (`data_types.grad_accum_dtype`), which a job"
                            + " without ZeRO has");
        }
        if (weights.equals("fp32")) {
            return Kind.PLAIN;
        }
        if (weights.equals("bf16") && pipeline) {
            throw refused(
                    "bf16 weights in a pipeline",
                    "a job that loads what it saves: without ZeRO DeepSpeed keeps the first rank's"
                            + " part of the optimizer alone");
        }
        if (configuration.sameStage() && model.kind() != Kind.PLAIN) {
            return model.kind();
        }
        return model.isFused() ? Kind.FUSED : Kind.UNFUSED;
    }

    private static RefusedException refused(String found, String expected) {
        return new RefusedException("ZeRO stage 0", found, expected, "--zero 1");
    }

    /// What a model-parallel rank's model states have.
    PyDict states(TorchBuilder torch, int mp) {
        return states(torch, mp, 0);
    }

    private PyDict states(TorchBuilder torch, int mp, int dp) {
        List<Group> of = groups.on(mp, dp);
        return switch (kind) {
            case FUSED -> wrapped(flat(torch, of), OptimizerModel.FLAT_0, masters(torch, of));
            case UNFUSED -> wrapped(each(torch, of), OptimizerModel.EACH_0, lists(torch, of));
            default -> each(torch, of);
        };
    }

    /// The keys that both sides have are the source's.
    private PyDict wrapped(PyDict base, String key, PyList masters) {
        PyDict of = PyDict.empty();
        if (model.kind() == kind && configuration.dtype().isEmpty()) {
            of = model.states();
        } else if (configuration.enabled("fp16")) {
            of = LossScale.of(model, configuration).keys(steps);
        } else if (kind == Kind.UNFUSED) {
            // It keeps its scale even where there is nothing to scale.
            of = LossScale.of(model, configuration).keys(PyInt.of(0));
        }
        of = of.with(OptimizerModel.STATES, base).with(key, masters);
        if (kind == Kind.FUSED && !of.has("clip_grad")) {
            of =
                    of.with(
                            "clip_grad",
                            model.states()
                                    .find("clip_grad")
                                    .orElseGet(
                                            () -> new PyFloat(configuration.gradientClipping())));
        }
        return of;
    }

    private PyDict flat(TorchBuilder torch, List<Group> of) {
        List<PyDict.Entry> states = new ArrayList<>();
        List<PickleValue> paramGroups = new ArrayList<>();
        for (Group group : of) {
            PyInt number = PyInt.of(group.number());
            PyDict held = tensors.states(torch, group, group.parts().extent());
            if (held.size() > 0) {
                states.add(new PyDict.Entry(number, held));
            }
            paramGroups.add(tensors.paramGroup(group.source(), List.of(number)));
        }
        return base(states, paramGroups);
    }

    /// Parameters are numbered through all groups.
    private PyDict each(TorchBuilder torch, List<Group> of) {
        List<PyDict.Entry> states = new ArrayList<>();
        List<PickleValue> paramGroups = new ArrayList<>();
        int next = 0;
        for (Group group : of) {
            List<PyInt> numbers = new ArrayList<>();
            for (Held member : group.parts().members()) {
                PyInt number = PyInt.of(next++);
                PyDict held = tensors.states(torch, group, member);
                if (held.size() > 0) {
                    states.add(new PyDict.Entry(number, held));
                }
                numbers.add(number);
            }
            paramGroups.add(tensors.paramGroup(group.source(), numbers));
        }
        return base(states, paramGroups);
    }

    private static PyDict base(List<PyDict.Entry> states, List<PickleValue> paramGroups) {
        return PyDict.empty()
                .with("state", PyDict.of(states))
                .with("param_groups", PyList.of(paramGroups));
    }

    private static PyList masters(TorchBuilder torch, List<Group> of) {
        return PyList.of(
                of.stream().map(g -> StateTensors.master(torch, g, g.parts().extent())).toList());
    }

    private static PyList lists(TorchBuilder torch, List<Group> of) {
        return PyList.of(
                of.stream()
                        .map(
                                g ->
                                        PyList.of(
                                                g.parts().members().stream()
                                                        .map(m -> master(torch, m))
                                                        .toList()))
                        .toList());
    }

    private static PickleValue master(TorchBuilder torch, Held member) {
        return TensorPickles.write(
                StateTensors.tensor(torch, member, Held.FP32).requiringGrad(true));
    }

    /// The optimizers of ranks that hold experts, each with the dense parameters too.
    List<TargetFile> expertFiles(String folder) {
        List<TargetFile> files = new ArrayList<>();
        for (int mp = 0; mp < target.mp(); mp++) {
            for (int e = 0; e < experts.degree(); e++) {
                for (int dp = 0; dp < target.dp(); dp++) {
                    if (experts.of(mp, dp) == e) {
                        String name =
                                String.format(
                                        Locale.ROOT,
                                        "expp_rank_%d_mp_rank_%02d_optim_states.pt",
                                        e,
                                        mp);
                        TorchBuilder torch = new TorchBuilder(model.file().storages());
                        PyDict root =
                                PyDict.empty().with(OptimizerModel.WHOLE, states(torch, mp, dp));
                        files.add(torch.file(folder + "/" + name, root));
                        break;
                    }
                }
            }
        }
        return files;
    }
}
