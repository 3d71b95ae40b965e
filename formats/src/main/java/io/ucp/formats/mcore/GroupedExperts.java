package io.ucp.formats.mcore;

import io.ucp.formats.RefusedException;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.tensor.Shape;

import java.util.Optional;

/// Experts of a layer in one matrix for each half of the MLP, as jobs with
/// `--moe-use-legacy-grouped-gemm` keep them (until core 0.9 those with `--moe-grouped-gemm`).
///
/// ```
/// mlp.experts.weight1   [hidden, experts * width]   elements: [experts, hidden, width]
/// mlp.experts.weight2   [experts * width, hidden]   elements: [experts, width, hidden]
/// ```
///
/// The shapes of the files are no one's columns: expert by expert the elements are the matrix that
/// the other forms have the other way round. A gated MLP has gate and up side by side in the width
/// of `weight1`. Here they have the shape of their elements.
///
/// Source: Megatron-LM 0.12 `core/transformer/moe/experts.py` (`GroupedMLP.forward`),
/// `core/models/gpt/moe_module_specs.py` (`get_moe_module_spec`).
public final class GroupedExperts {
    private static final String FIRST = ".mlp.experts.weight1";
    private static final String SECOND = ".mlp.experts.weight2";

    private static final String GROUPED = "moe_grouped_gemm";
    private static final String LEGACY = "moe_use_legacy_grouped_gemm";

    private GroupedExperts() {}

    /// Whether the job's model has its experts so. Without Transformer Engine it has no other
    /// grouped layer, in the releases that know the option (core 0.10 to 0.16).
    public static boolean said(Arguments arguments) {
        return arguments.experts()
                && arguments.is(GROUPED)
                && (arguments.is(LEGACY)
                        || (arguments.local() && arguments.find(LEGACY).isPresent()));
    }

    /// `args` that say it.
    public static PyDict saying(PyDict args) {
        return args.with(GROUPED, new PyBool(true)).with(LEGACY, new PyBool(true));
    }

    /// Whether a name is that of all experts of a layer.
    public static boolean is(String name) {
        return name.endsWith(FIRST) || name.endsWith(SECOND);
    }

    /// The shape of the elements.
    ///
    /// @param experts of the rank
    /// @return nothing where a file's matrix is none of so many experts
    public static Optional<Shape> apart(String name, Shape matrix, long experts) {
        if (matrix.rank() != 2 || experts < 1) {
            return Optional.empty();
        }
        long hidden = matrix.dim(name.endsWith(FIRST) ? 0 : 1);
        long all = matrix.dim(name.endsWith(FIRST) ? 1 : 0);
        if (all % experts != 0) {
            return Optional.empty();
        }
        long width = all / experts;
        return Optional.of(
                name.endsWith(FIRST)
                        ? Shape.of(experts, hidden, width)
                        : Shape.of(experts, width, hidden));
    }

    /// A dense tensor by another shape of as many elements.
    ///
    /// @throws RefusedException where it is not dense
    public static TensorEntry seen(TensorEntry tensor, Shape shape) {
        if (!tensor.isDense() || tensor.shape().count() != shape.count()) {
            throw new RefusedException(
                    tensor.source().path().toString(),
                    "a tensor of all experts of a layer, %s, that does not lie row by row"
                            .formatted(tensor.shape()),
                    "elements end to end, which are those of " + shape,
                    "save it with --ckpt-format torch_dist, or with --no-save-optim");
        }
        return TensorEntry.dense(tensor.source(), tensor.offset(), tensor.dtype(), shape);
    }

    /// The shape that a file has; that of any other parameter is its own.
    public static Shape together(String name, Shape shape) {
        if (!is(name) || shape.rank() != 3) {
            return shape;
        }
        return name.endsWith(FIRST)
                ? Shape.of(shape.dim(1), Math.multiplyExact(shape.dim(0), shape.dim(2)))
                : Shape.of(Math.multiplyExact(shape.dim(0), shape.dim(1)), shape.dim(2));
    }
}
