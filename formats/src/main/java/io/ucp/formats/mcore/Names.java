package io.ucp.formats.mcore;

import java.util.Collection;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// What a parameter's name says: its layer, its expert, what it is.
public final class Names {
    public static final String EMBEDDING = "embedding.word_embeddings.weight";
    public static final String HEAD = "output_layer.weight";

    /// Of the model that is cut into stages: a vision tower lies whole in front of it.
    private static final Pattern LAYER =
            Pattern.compile("^((?!vision_)(?:.*\\.)?layers\\.)(\\d{1,9})(\\..*)$");

    /// One by one, or in one grouped layer.
    private static final Pattern EXPERT =
            Pattern.compile(
                    "^(.*\\.experts\\.(?:local_experts\\.|linear_fc[12]\\.(?:weight|bias)))(\\d{1,9})(|\\..*)$");

    private static final String HEAD_BIAS = "output_layer.bias";

    private Names() {}

    /// Whether it is the embedding of the vocabulary; that of a model of several parts has its
    /// language model's name before it.
    public static boolean isEmbedding(String name) {
        return is(name, EMBEDDING);
    }

    /// Whether it is the output head, which shares a tied embedding's elements.
    public static boolean isHead(String name) {
        return is(name, HEAD);
    }

    private static boolean is(String name, String own) {
        return name.endsWith(own)
                && (name.length() == own.length()
                        || name.charAt(name.length() - own.length() - 1) == '.');
    }

    /// Whether its rows are those of the vocabulary, which is padded.
    public static boolean isVocabulary(String name) {
        return isEmbedding(name) || isHead(name) || is(name, HEAD_BIAS);
    }

    /// The embedding among these.
    public static Optional<String> embedding(Collection<String> names) {
        return names.stream().filter(Names::isEmbedding).findFirst();
    }

    /// What the head of a model with this embedding is called.
    public static String headOf(String embedding) {
        return embedding.substring(0, embedding.length() - EMBEDDING.length()) + HEAD;
    }

    /// Whether it lies in front of the layers of a model that is cut into stages.
    public static boolean isInFront(String name) {
        return name.startsWith("embedding.")
                || name.contains(".embedding.")
                || name.startsWith("vision_")
                || name.equals("image_newline");
    }

    public static Optional<Long> layer(String name) {
        return number(LAYER, name);
    }

    public static Optional<Long> expert(String name) {
        return number(EXPERT, name);
    }

    private static Optional<Long> number(Pattern pattern, String name) {
        Matcher m = pattern.matcher(name);
        return m.matches() ? Optional.of(Long.parseLong(m.group(2))) : Optional.empty();
    }

    /// The same name with its layer and its expert counted from these.
    public static String moved(String name, long layers, long experts) {
        return moved(EXPERT, moved(LAYER, name, layers), experts);
    }

    private static String moved(Pattern pattern, String name, long by) {
        Matcher m = pattern.matcher(name);
        return by != 0 && m.matches()
                ? m.group(1) + (Long.parseLong(m.group(2)) + by) + m.group(3)
                : name;
    }

    /// Whether ranks of the experts hold it.
    public static boolean isExpert(String name) {
        return name.contains(".mlp.experts.");
    }

    /// Whether it is kept without being trained by the optimizer.
    public static boolean isBuffer(String name) {
        return name.endsWith(".expert_bias")
                || name.endsWith(".local_tokens_per_expert")
                || name.endsWith(".inv_freq");
    }

    /// Vectors and biases are not decayed. Source: Megatron-LM `core/optimizer/__init__.py`
    /// (`get_standard_config_overrides`).
    public static boolean isDecayed(String name, int rank) {
        return rank != 1 && !name.endsWith(".bias");
    }

    /// Parameters that a learning rate of their own can be given to (`decoupled_lr`). Source:
    /// `core/models/common/language_module/language_module.py`.
    public static boolean isEmbeddingOrHead(String name) {
        return name.endsWith(EMBEDDING) || name.endsWith(HEAD);
    }
}
