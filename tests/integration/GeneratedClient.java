import java.net.http.HttpRequest;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.DeadLettersApi;
import org.openapitools.client.api.OrdersApi;
import org.openapitools.client.model.DeadLetterReference;
import org.openapitools.client.model.Order;
import org.openapitools.client.model.OrderList;
import org.openapitools.client.model.OrderSummary;
import org.openapitools.client.model.ProblemDetails;
import org.openapitools.client.model.ReplayDeadLetters;
import org.openapitools.client.model.ReplayedDeadLetters;

/** Uses a client of OpenAPI Generator: test_openapi_generator.py compiles it and runs it. Prints the answers as JSON. */
public class GeneratedClient {
  public static void main(String[] args) throws Exception {
    String url = args[0], key = args[1], uid = args[2];
    ApiClient client = client(url, key);
    OrdersApi orders = new OrdersApi(client);
    Order order = orders.getOrder(uid, null);
    OrderList first = orders.listOrders(2, null, null, null, null, null, null);
    OrderList last = orders.listOrders(2, first.getNextCursor(), null, null, null, null, null);
    List<OrderSummary> listed = Stream.of(first, last).flatMap(page -> page.getOrders().stream()).toList();
    ReplayDeadLetters request =
        new ReplayDeadLetters().deadLetters(List.of(new DeadLetterReference().partition(0).offset(1L << 40))).dryRun(true);
    ReplayedDeadLetters replay = new DeadLettersApi(client).replayDeadLetters(request, null);
    ProblemDetails missing = problem(() -> orders.getOrder("missing", null));
    ProblemDetails denied = problem(() -> new OrdersApi(client(url, null)).getOrder(uid, null));
    System.out.println(
        ApiClient.createDefaultObjectMapper()
            .writeValueAsString(
                Map.of(
                    "order_uid", order.getOrderUid(),
                    "amount", order.getPayment().getAmount(),
                    "date_created", order.getDateCreated().toEpochSecond(),
                    "stored_at", listed.get(2).getStoredAt().toEpochSecond(),
                    "listed", listed.stream().map(OrderSummary::getOrderUid).toList(),
                    "has_cursor", last.getNextCursor() != null,
                    "replay", Map.of("dry_run", replay.getDryRun(), "refusal", replay.getDeadLetters().get(0).getRefusal()),
                    "problems", List.of(missing.getType().toString(), denied.getStatus()))));
  }

  private interface Call {
    void run() throws ApiException;
  }

  private static ApiClient client(String url, String key) {
    ApiClient client = new ApiClient();
    client.updateBaseUri(url);
    if (key != null) {
      client.setRequestInterceptor((HttpRequest.Builder request) -> request.header("X-API-Key", key));
    }
    return client;
  }

  private static ProblemDetails problem(Call call) throws Exception {
    try {
      call.run();
    } catch (ApiException error) {
      return ApiClient.createDefaultObjectMapper().readValue(error.getResponseBody(), ProblemDetails.class);
    }
    throw new IllegalStateException("no problem");
  }
}
