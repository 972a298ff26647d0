#!/usr/bin/env bash
# The shop of shop.cc with nothing but curl: the same commands, the same answers. The addresses are
# those of HTTP; products and customers up to 1,000.
#
#   shop.sh HOST:PORT,... stock SKU PRICE QUANTITY [DELIVERY] | products
#                         | buy ORDER CUSTOMER SKU QUANTITY
#                         | status ORDER | sale SKU BUYERS | audit
set -euo pipefail
for word in "${@:2}"; do [[ $word =~ ^[A-Za-z0-9._-]{1,64}$ ]] || set --; done  # No quotes in JSON.
IFS=, read -ra nodes <<<"${1:-}"
first=0  # The node to ask first.

call() {  # PATH [BODY [KEY]]: asks one node after another until one knows. Sets status and body.
  local try answer
  for try in {0..99}; do
    answer=$(curl -s -m 5 -w '\n%{http_code}' ${2:+-d "$2"} ${3:+-H "Idempotency-Key: $3"} \
      "http://${nodes[(first + try) % ${#nodes[@]}]}$1") || true
    status=${answer##*$'\n'} body=${answer%$'\n'*}
    [[ $status =~ ^(2..|400|404|409|422)$ ]] && return
    [ "$try" -lt ${#nodes[@]} ] || sleep 0.2
  done
  echo "no answer: $body" >&2; exit 2
}
must() { call "$@"; [[ $status = 2* ]] || { echo "$body" >&2; exit 1; }; }
fields() { { grep -o "\"$1\":\"\?[^,\"}]*" || true; } <<<"$body" | sed 's/.*:"\?//'; }

add_customer() {
  must /v1/customers "{\"id\":\"$1\",\"currency\":\"EUR\"}"
  must /v1/ledger/accounts "{\"id\":\"$1\",\"currency\":\"EUR\",\"overdraft\":true}"
}
buy() {  # ORDER CUSTOMER SKU QUANTITY TOTAL: sets reason, "sold" or why not.
  call /v1/checkout "{\"id\":\"$1\",\"customer\":\"$2\",\"lines\":[{\"sku\":\"$3\",\"quantity\":$4}],
    \"total\":$5,\"payment\":{\"from\":\"$2\",\"to\":\"till\"},\"message\":{\"queue\":\"parcels\"}}"
  if [[ $status = 2* ]]; then reason=sold; else reason=$(fields reason); fi
}
buyer() {  # RUN NUMBER SKU PRICE: buys piece after piece until there is none; says how many.
  local n=0 reason=sold
  first=$2
  add_customer "buyer-$2"
  while buy "$1-$2-$n" "buyer-$2" "$3" 1 "$4"; [ "$reason" = sold ]; do n=$((n + 1)); done
  if [ "$reason" = insufficient_stock ]; then echo $n; fi
}

case "${2:-} $#" in
  "stock 5" | "stock 6")
    must /v1/ledger/accounts '{"id":"till","currency":"EUR"}'
    must /v1/queues '{"name":"parcels"}'
    must /v1/products "{\"sku\":\"$3\",\"price\":$4,\"currency\":\"EUR\"}"
    must "/v1/products/$3:receive" "{\"quantity\":$5}" "${6:-$(date +%s%N)-$$}"
    echo "$3: $5 on the shelf, $4 each" ;;
  "products 2")
    must "/v1/products?limit=1000"
    paste -d' ' <(fields sku) <(fields available) <(fields price) |
      while read -r sku left price; do echo "$sku: $left left, $price each"; done ;;
  "buy 6")
    add_customer "$4"; must "/v1/products/$5"
    buy "$3" "$4" "$5" "$6" $((10#$6 * $(fields price)))
    echo "$3: $reason"; [ "$reason" = sold ] ;;
  "status 3")
    must "/v1/orders/$3"
    echo "$3: $(fields state | head -n 1), $(fields total) by $(fields customer)" ;;
  "sale 4")
    must "/v1/products/$3"
    price=$(fields price) run=$(date +%s%N) said=$(mktemp)
    for ((b = 1; b <= $4; b++)); do buyer "$run" $b "$3" "$price" >>"$said" & done
    wait
    counts=$(cat "$said"); rm "$said"
    [ "$(wc -w <<<"$counts")" = "$4" ] || { echo "not every buyer was answered" >&2; exit 2; }
    echo "$3: $((${counts//$'\n'/+})) sold to $4 buyers, none is left" ;;
  "audit 2")
    must "/v1/products?limit=1000"
    paste -d' ' <(fields sku) <(fields received) <(fields reserved) <(fields available) |
      while read -r sku received sold left; do echo "$sku: $received received, $sold sold, $left left"; done
    goods=$(($(paste -d'*' <(fields price) <(fields reserved) | paste -sd+)))
    must "/v1/customers?limit=1000"
    spent=$(($(fields spend | paste -sd+))) orders=$(($(fields orders | paste -sd+)))
    must /v1/ledger/accounts/till; till=$(fields balance)
    must /v1/queues/parcels/stats; parcels=$(fields messages | head -n 1)
    agree="they agree"
    [ "$goods $spent $orders" = "$till $till $parcels" ] || agree="THEY DO NOT AGREE"
    echo "goods for $goods, $spent spent, $till in the till; $orders orders, $parcels parcels: $agree"
    [ "$agree" = "they agree" ] ;;
  *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
esac
