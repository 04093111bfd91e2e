/* Continues a text with a model, as `lille generate` does, and shows each piece as it comes:
 *
 *   cc -std=c11 generate.c -o generate $(pkg-config --cflags --libs lille)
 *   ./generate MODEL "Once upon a time" temperature=0.7 seed=1
 */
#include <lille.h>
#include <stdio.h>
#include <string.h>

/* Shows a piece of the answer; ends the answer if nobody can read it. */
static int show(const lille_response* response, void* user_data) {
  const size_t n_bytes = (size_t)response->n_bytes;
  (void)user_data;
  return fwrite(response->text, 1, n_bytes, stdout) != n_bytes || fflush(stdout) != 0;
}

/* Sets options that are written NAME=VALUE. */
static lille_status set_options(lille_options* options, char** arguments, lille_error* error) {
  for (; *arguments != NULL; ++arguments) {
    char name[64];
    const char* value = strchr(*arguments, '=');
    const size_t n_bytes = value != NULL ? (size_t)(value - *arguments) : strlen(*arguments);
    if (n_bytes >= sizeof name) return lille_options_set(options, *arguments, "", error);
    memcpy(name, *arguments, n_bytes);
    name[n_bytes] = '\0';
    if (lille_options_set(options, name, value != NULL ? value + 1 : "true", error) != LILLE_OK)
      return error->status;
  }
  return LILLE_OK;
}

int main(int argc, char** argv) {
  lille_options* options = NULL;
  lille_model* model = NULL;
  lille_session* session = NULL;
  int32_t* prompt = NULL;
  int64_t n_prompt = 0;
  lille_error error = {LILLE_OK, ""};

  if (argc < 3) {
    fprintf(stderr, "usage: %s MODEL PROMPT [NAME=VALUE]...\n", argv[0]);
    return 2;
  }

  /* The first call that fails ends the chain and says why. */
  if (lille_options_create(&options, &error) == LILLE_OK &&
      set_options(options, argv + 3, &error) == LILLE_OK &&
      lille_model_load(argv[1], options, &model, &error) == LILLE_OK &&
      lille_session_create(model, options, &session, &error) == LILLE_OK &&
      lille_encode_prompt(model, options, argv[2], (int64_t)strlen(argv[2]), &prompt, &n_prompt, &error) ==
          LILLE_OK &&
      lille_generate(session, prompt, n_prompt, options, show, NULL, NULL, NULL, &error) == LILLE_OK)
    putchar('\n');
  else
    fprintf(stderr, "%s: %s: %s\n", argv[0], lille_status_name(error.status), error.message);

  lille_free(prompt);
  lille_session_free(session);
  lille_model_free(model);
  lille_options_free(options);
  return error.status == LILLE_OK ? 0 : 1;
}
