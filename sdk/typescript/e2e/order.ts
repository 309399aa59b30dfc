// The workflow of a shop against a running `ordermill dev`: log in, look, fill a cart, order, list, move.
// Usage: node dist/e2e/order.js http://127.0.0.1:8080
import { createClient, unwrap, OrdermillError, type Schemas } from "../src/index.js";

declare const process: { argv: string[]; exitCode?: number };

function check(condition: boolean, what: string): void {
  if (!condition) {
    throw new Error(what);
  }
}

async function logIn(baseUrl: string, email: string): Promise<string> {
  const session = await unwrap(createClient({ baseUrl }).POST("/api/users/login", { body: { email, password: "ordermill-dev" } }));
  return session.token;
}

async function walk(baseUrl: string): Promise<void> {
  const customer = createClient({ baseUrl, token: await logIn(baseUrl, "customer@example.com") });
  const staff = createClient({ baseUrl, token: await logIn(baseUrl, "staff@example.com") });

  const products = await unwrap(customer.GET("/api/products", { params: { query: { q: "CUP-01" } } }));
  const cup = products.data[0];
  check(cup !== undefined, "dev sells cups");
  const productId = (cup as Schemas["Product"]).id;

  const cart = await unwrap(customer.PUT("/api/carts/items", { body: { productId, quantity: 2 } }));
  check(cart.items.length === 1, "the cart holds the cup");

  const shippingAddress = { name: "Lan", phone: "0901234567", line1: "1 Lê Lợi", country: "VN" };
  const order = await unwrap(
    customer.POST("/api/orders/create", {
      params: { header: { "idempotency-key": `typescript-${Date.now()}` } },
      body: { paymentMethod: "cod", shippingAddress },
    }),
  );
  check(order.status === "processing" && order.lines[0]?.quantity === 2, "the cart was ordered");
  check((await unwrap(customer.GET("/api/carts"))).items.length === 0, "the cart is empty");

  const mine = await unwrap(customer.GET("/api/orders", { params: { query: { limit: 1 } } }));
  check(mine.data[0]?.code === order.code, "the order is the newest");

  const path = { order: order.code };
  const shipped = await unwrap(
    staff.PUT("/api/orders/{order}/status", { params: { path }, body: { status: "shipped", carrier: "ghn" } }),
  );
  check(shipped.status === "shipped", "staff shipped it");
  try {
    await unwrap(customer.POST("/api/orders/{order}/cancel", { params: { path }, body: {} }));
    throw new Error("a shipped order was called off");
  } catch (error) {
    check(error instanceof OrdermillError && error.problem?.code === "illegal_transition", String(error));
  }
  const timeline = await unwrap(customer.GET("/api/orders/{order}/events", { params: { path } }));
  console.log(timeline.data.map((event) => event.type).join(" "));
}

const baseUrl = process.argv[2];
if (baseUrl === undefined) {
  console.error("usage: node dist/e2e/order.js http://127.0.0.1:8080");
  process.exitCode = 2;
} else {
  await walk(baseUrl);
}
