package io.ucp.formats.hub;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;

import io.ucp.formats.ConfigNumbers;
import io.ucp.io.ByteSource;
import io.ucp.tensor.DType;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// What `config.json` says of a model. A model of several parts keeps what is the language model's
/// under `text_config`.
///
/// @param root its object; missing where there is no `config.json`, or one that is no JSON object
public record ModelConfig(JsonNode root) {
    public static final String FILE = "config.json";
    public static final ModelConfig NONE = new ModelConfig(MissingNode.getInstance());

    /// The input embedding, and what the output head that is tied to it is called.
    ///
    /// Source: `_tied_weights_keys` of transformers' models.
    private record Tie(Pattern embedding, String head) {}

    private static final List<Tie> TIES =
            List.of(
                    new Tie(
                            Pattern.compile(
                                    "(language_model\\.)?model\\.(?:decoder\\.)?embed_tokens\\.weight"),
                            "$1lm_head.weight"),
                    new Tie(
                            Pattern.compile("model\\.language_model\\.embed_tokens\\.weight"),
                            "lm_head.weight"),
                    new Tie(
                            Pattern.compile("transformer\\.(?:wte|word_embeddings)\\.weight"),
                            "lm_head.weight"),
                    new Tie(Pattern.compile("gpt_neox\\.embed_in\\.weight"), "embed_out.weight"));

    private static final Pattern HEAD = Pattern.compile("(?:.*\\.)?(?:lm_head|embed_out)\\.weight");

    /// [#NONE] where the file is no JSON object, or larger than any.
    public static ModelConfig read(ByteSource file) throws IOException {
        return ConfigNumbers.object(file).map(ModelConfig::new).orElse(NONE);
    }

    private Optional<JsonNode> find(String name) {
        return Optional.ofNullable(root.get(name))
                .or(() -> Optional.ofNullable(root.path("text_config").get(name)))
                .filter(node -> !node.isNull());
    }

    /// The dtype of the weights that transformers makes.
    public Optional<DType> dtype() {
        return find("dtype")
                .or(() -> find("torch_dtype"))
                .map(JsonNode::asText)
                .map(text -> text.startsWith("torch.") ? text.substring(6) : text)
                .flatMap(DType::ofTorchName);
    }

    /// What a spec may read as a constant.
    public Map<String, Long> numbers() {
        return ConfigNumbers.of(root);
    }

    /// The output head that is not stored because it is the input embedding: head -> embedding.
    /// Empty where the model has a head of its own, where `tie_word_embeddings` is false, and where
    /// the embedding cannot be told.
    ///
    /// A model with a language-model head whose configuration does not say, and that stores no
    /// head, can be loaded whole only where the two are tied.
    public Map<String, String> tied(Set<String> stored) {
        Optional<Boolean> says = find("tie_word_embeddings").map(JsonNode::asBoolean);
        if (!says.orElse(hasLanguageModelHead())
                || stored.stream().anyMatch(name -> HEAD.matcher(name).matches())) {
            return Map.of();
        }
        Map<String, String> found = new LinkedHashMap<>();
        for (String name : stored) {
            for (Tie tie : TIES) {
                Matcher matcher = tie.embedding().matcher(name);
                if (matcher.matches()) {
                    found.put(matcher.replaceAll(tie.head()), name);
                    break;
                }
            }
        }
        return found.size() == 1 ? found : Map.of();
    }

    private boolean hasLanguageModelHead() {
        List<String> architectures = new ArrayList<>();
        root.path("architectures").forEach(each -> architectures.add(each.asText()));
        return architectures.stream()
                .anyMatch(a -> a.endsWith("ForCausalLM") || a.endsWith("LMHeadModel"));
    }
}
