package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.RefusedException;
import io.ucp.formats.deepspeed.writing.OptimizerModel.Kind;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyFloat;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyObject;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/// The scale of an fp16 job's losses, which ZeRO keeps as an object and the optimizers without it
/// as keys of their own. Every other job has a scale of 1 that stays.
///
/// Source: DeepSpeed `runtime/fp16/loss_scaler.py`, `runtime/fp16/fused_optimizer.py`
/// (`state_dict`), `runtime/config.py` (`get_dynamic_loss_scale_args`).
///
/// @param known what the source says of it: `cur_scale`, and of one that moves `cur_iter`,
///   `last_overflow_iter`, `scale_factor`, `scale_window`
record LossScale(boolean dynamic, PyDict known, PyDict fp16) {
    private static final String MODULE = "deepspeed.runtime.fp16.loss_scaler";
    private static final String SCALE = "cur_scale";

    /// @throws RefusedException where weights are fp16 and the source has no scale
    static LossScale of(OptimizerModel model, Configuration configuration) {
        if (!configuration.enabled("fp16")) {
            return new LossScale(
                    false, PyDict.empty().with(SCALE, new PyFloat(1.0)), PyDict.empty());
        }
        PyDict fp16 =
                configuration
                        .dict()
                        .find("fp16")
                        .flatMap(PickleValue::asDict)
                        .orElse(PyDict.empty());
        boolean whole = model.kind() == Kind.FUSED || model.kind() == Kind.UNFUSED;
        PyDict known =
                whole
                        ? model.states()
                        : model.states()
                                .find("loss_scaler")
                                .flatMap(LossScale::attributes)
                                .orElse(PyDict.empty());
        if (!known.has(SCALE) || configuration.dtype().isPresent()) {
            if (configuration.dtype().isPresent()) {
                return begun(fp16);
            }
            throw new RefusedException(
                    model.file().path(),
                    "fp16 weights and no loss scaler",
                    "the scaler that the job of this stage has",
                    "leave --zero as it is in the source");
        }
        boolean dynamic =
                known.find(whole ? "dynamic_loss_scale" : "dynamic")
                        .filter(new PyBool(true)::equals)
                        .isPresent();
        return new LossScale(dynamic, known, fp16);
    }

    /// As a job begins that had none.
    static LossScale begun(PyDict fp16) {
        double fixed = fp16.find("loss_scale").map(v -> v.asDouble().orElse(0)).orElse(0.0);
        if (fixed != 0) {
            return new LossScale(false, PyDict.empty().with(SCALE, new PyFloat(fixed)), fp16);
        }
        long power = fp16.find("initial_scale_power").map(v -> v.asLong().orElse(16)).orElse(16L);
        PyDict known =
                PyDict.empty()
                        .with(SCALE, new PyFloat(Math.scalb(1.0, (int) power)))
                        .with("cur_iter", PyInt.of(0))
                        .with("last_overflow_iter", PyInt.of(-1))
                        .with("scale_factor", new PyFloat(2.0))
                        .with(
                                "scale_window",
                                fp16.find("loss_scale_window").orElse(PyInt.of(1000)));
        return new LossScale(true, known, fp16);
    }

    private static Optional<PyDict> attributes(PickleValue scaler) {
        return scaler instanceof PyObject object ? object.attributes() : scaler.asDict();
    }

    /// As ZeRO keeps it.
    PyObject scaler() {
        Map<String, PickleValue> attributes = new LinkedHashMap<>();
        attributes.put(SCALE, known(SCALE));
        if (!dynamic) {
            attributes.put("dynamic", new PyBool(false));
            return object("LossScaler", attributes);
        }
        attributes.put("dynamic", new PyBool(true));
        for (String key : new String[] {"cur_iter", "last_overflow_iter", "scale_factor"}) {
            attributes.put(key, known(key));
        }
        attributes.put("scale_window", known("scale_window"));
        PickleValue shift = configured("hysteresis", PyInt.of(2));
        attributes.put("min_scale", configured("min_loss_scale", PyInt.of(1)));
        attributes.put("delayed_shift", shift);
        attributes.put("cur_hysteresis", shift);
        attributes.put(
                "consecutive_hysteresis", configured("consecutive_hysteresis", new PyBool(false)));
        attributes.put("raise_error_at_min_scale", new PyBool(true));
        attributes.put("dtype", new PyGlobal("torch", "float16"));
        return object("DynamicLossScaler", attributes);
    }

    private static PyObject object(String name, Map<String, PickleValue> attributes) {
        return PyObject.instance(new PyGlobal(MODULE, name)).withState(PyDict.of(attributes));
    }

    /// As the optimizers without ZeRO keep it.
    ///
    /// @param steps the job's so far, which a scale that stays only counts
    PyDict keys(PickleValue steps) {
        PyDict keys =
                PyDict.empty()
                        .with("dynamic_loss_scale", new PyBool(dynamic))
                        .with(SCALE, known(SCALE))
                        .with("cur_iter", dynamic ? known("cur_iter") : steps);
        if (dynamic) {
            for (String key : new String[] {"last_overflow_iter", "scale_factor", "scale_window"}) {
                keys = keys.with(key, known(key));
            }
        }
        return keys;
    }

    private PickleValue known(String key) {
        Optional<PickleValue> value = known.find(key);
        return value.orElseThrow(
                () ->
                        new RefusedException(
                                "loss_scaler",
                                "no `%s`".formatted(key),
                                "a loss scaler as DeepSpeed keeps it",
                                "leave --zero as it is in the source"));
    }

    private PickleValue configured(String key, PickleValue otherwise) {
        return fp16.find(key).orElse(otherwise);
    }
}
