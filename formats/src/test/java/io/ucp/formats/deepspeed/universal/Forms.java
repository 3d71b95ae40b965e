package io.ucp.formats.deepspeed.universal;

import static io.ucp.formats.deepspeed.universal.UniversalBuilder.bytes;
import static io.ucp.formats.deepspeed.universal.UniversalBuilder.map;
import static io.ucp.formats.deepspeed.universal.UniversalBuilder.shapes;
import static io.ucp.formats.deepspeed.universal.UniversalBuilder.tensor;

import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyFloat;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.formats.torch.pickle.PyTuple;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;

/// One small universal folder of each form.
enum Forms {
    /// ZeRO-2 on two data-parallel ranks: weights in `module`, a frozen one, a tied one, a buffer.
    ONE_MODEL_RANK {
        @Override
        UniversalBuilder write(Path root) throws IOException {
            UniversalBuilder builder = new UniversalBuilder(root);
            builder.parameter("emb.weight", Shape.of(5, 2), "cat_dim", PyInt.of(0));
            builder.parameter(ODD, Shape.of(4, 2), "cat_dim", PyInt.of(0));
            SequencedMap<String, byte[]> storages = new LinkedHashMap<>();
            PickleValue emb = weight(storages, Shape.of(5, 2));
            PyDict module =
                    PyDict.of(
                            map(
                                    "emb.weight",
                                    emb,
                                    ODD,
                                    weight(storages, Shape.of(4, 2)),
                                    "frozen.weight",
                                    weight(storages, Shape.of(3)),
                                    "positions",
                                    weight(storages, Shape.of(6)),
                                    "head.weight",
                                    emb));
            return builder.modelStates(
                            "mp_rank_00_model_states.pt",
                            storages,
                            2,
                            2,
                            1,
                            1,
                            "module",
                            PyObject.orderedDict(module),
                            "buffer_names",
                            PyList.of(PyText.of("positions")),
                            "param_shapes",
                            PyList.of(
                                    shapes("emb.weight", Shape.of(5, 2)),
                                    shapes(ODD, Shape.of(4, 2))),
                            "frozen_param_shapes",
                            shapes("frozen.weight", Shape.of(3)),
                            "shared_params",
                            PyDict.of(map("head.weight", PyText.of("emb.weight"))))
                    .optimizerState(2);
        }
    },

    /// ZeRO-1 on TP2 PP2: every kind of cut.
    TENSOR_AND_PIPELINE {
        @Override
        UniversalBuilder write(Path root) throws IOException {
            UniversalBuilder builder = new UniversalBuilder(root);
            builder.parameter("norm.weight", Shape.of(4));
            builder.parameter(
                    "emb.weight",
                    Shape.of(5, 2),
                    "cat_dim",
                    PyInt.of(0),
                    "vocab_tensor",
                    new PyBool(true));
            builder.parameter("row.weight", Shape.of(2, 6), "cat_dim", PyInt.of(1));
            builder.parameter(
                    "up.weight",
                    Shape.of(8, 2),
                    "cat_dim",
                    PyInt.of(0),
                    "param_n_sub_params",
                    PyInt.of(2));
            builder.parameter("qkv.weight", Shape.of(8, 2), "sub_param_shape", subParamShape());
            PyDict info =
                    PyDict.of(
                            map(
                                    "universal_checkpoint_version",
                                    new PyFloat(0.4),
                                    "original_vocab_size",
                                    PyInt.of(5),
                                    "parameter_with_row_parallelism_patterns",
                                    PyList.of(PyText.of("row.*")),
                                    "parameter_with_sub_params",
                                    PyList.of(
                                            PyDict.of(
                                                    map(
                                                            "patterns", QKV_PATTERNS,
                                                            "shape", QKV_SHAPE,
                                                            "partition_dim", PyInt.of(0)))),
                                    "sub_param_shard_widths",
                                    PyDict.of(
                                            map(
                                                    ".*qkv.weight",
                                                    PyList.of(
                                                            pair(2, 2), pair(1, 1), pair(1, 1))))));
            for (int mp = 0; mp < 4; mp++) {
                PyObject stage =
                        mp < 2
                                ? shapes(
                                        "emb.weight", Shape.of(3, 2),
                                        "norm.weight", Shape.of(4),
                                        "row.weight", Shape.of(2, 3))
                                : shapes(
                                        "up.weight", Shape.of(4, 2),
                                        "qkv.weight", Shape.of(4, 2),
                                        "emb.weight", Shape.of(3, 2));
                builder.modelStates(
                        "mp_rank_0%d_model_states.pt".formatted(mp),
                        1,
                        2,
                        2,
                        2,
                        "param_shapes",
                        PyList.of(stage),
                        "universal_checkpoint_info",
                        info);
            }
            return builder.optimizerState(1);
        }
    },

    /// ZeRO-3 on two ranks, in two sub-groups of one optimizer group.
    STAGE_3 {
        @Override
        UniversalBuilder write(Path root) throws IOException {
            UniversalBuilder builder = new UniversalBuilder(root);
            builder.flat("a.weight", 15).flat("b.weight", 4);
            for (int dp = 0; dp < 2; dp++) {
                builder.modelStates(
                        "zero_pp_rank_%d_mp_rank_00_model_states.pt".formatted(dp),
                        3,
                        2,
                        1,
                        1,
                        "param_shapes",
                        PyList.of(
                                shapes("a.weight", Shape.of(5, 3)),
                                shapes("b.weight", Shape.of(4))));
            }
            return builder.optimizerState3(8, 2);
        }
    };

    /// A name that is hard for shells, regular expressions and encodings.
    static final String ODD = "läyer (1).*[w] $x";

    static final PyList QKV_PATTERNS =
            PyList.of(PyText.of("attention.*"), PyText.of(".*qkv.weight"));
    static final PyTuple QKV_SHAPE =
            PyTuple.of(PyTuple.of(PyInt.of(4), PyInt.of(2), PyInt.of(2)), PyInt.of(2));

    abstract UniversalBuilder write(Path root) throws IOException;

    private static PyObject subParamShape() {
        return PyObject.instance(
                        new PyGlobal("deepspeed.checkpoint.universal_checkpoint", "SubparamShape"))
                .withState(
                        PyDict.of(
                                map(
                                        "patterns", QKV_PATTERNS,
                                        "shape", QKV_SHAPE,
                                        "partition_dim", PyInt.of(0))));
    }

    private static PyList pair(long a, long b) {
        return PyList.of(List.of(PyInt.of(a), PyInt.of(b)));
    }

    private static PickleValue weight(SequencedMap<String, byte[]> storages, Shape shape) {
        String key = Integer.toString(storages.size());
        storages.put(key, bytes("weight" + key, shape, DType.BFLOAT16));
        return tensor(DType.BFLOAT16, shape, key, false);
    }
}
